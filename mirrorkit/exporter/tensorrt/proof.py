"""Hold the pooled graph, in ONNX Runtime or as an engine on a GPU, to the vectors of the bundle it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mirrorkit.exporter.quantize.calibration import calibration_texts
from mirrorkit.formats.bundle import GOLDEN, TOKENIZER, Bundle, check_file
from mirrorkit.formats.engine import Precision
from mirrorkit.formats.golden import read_goldens
from mirrorkit.runtime.opening import tokenizer_of, unpooled
from mirrorkit.runtime.runner import Runner
from mirrorkit.runtime.session import open_session
from mirrorkit.text.awkward import MIN_TEXTS, even_sample
from mirrorkit.text.ragged import RaggedIds
from mirrorkit.verification.measure import vectors_of
from mirrorkit.verification.proof import (
    ALL_LIMITS,
    FEWEST,
    WITHOUT_RANKS,
    Reference,
    SkippingPrompt,
    Verification,
    measure,
)
from mirrorkit.verification.thresholds import ON_GPU_INT8, thresholds_for


def reference_of(bundle: Bundle) -> Reference:
    """Return token ids and the fp32 vectors that the bundle stands for.

    The golden texts with the vectors that the original model gave, and where the bundle holds its fp32 graph, real
    texts with what that graph gives: enough to judge ranks as well.
    """
    plain = bundle.variants.get("fp32")
    for name in (GOLDEN, TOKENIZER, *((plain.file, *plain.data_files) if plain is not None else ())):
        check_file(bundle, name)
    goldens = read_goldens(bundle.path(GOLDEN), bundle.dim)
    if plain is None:
        return Reference(goldens.ids, goldens.vectors, bundle.usage, unpooled(bundle))
    known = set(goldens.texts)
    texts = even_sample([text for text in calibration_texts(None).texts if text not in known], MIN_TEXTS)
    more = tokenizer_of(bundle).ids(texts, bundle.usage.prompt())
    runner = SkippingPrompt(open_session(bundle.path(plain.file)), unpooled(bundle))
    vectors = vectors_of(runner, more, bundle.pad_token_id)
    rows = [ids[i].tolist() for ids in (goldens.ids, more) for i in range(len(ids))]
    together = np.concatenate([goldens.vectors, vectors])
    return Reference(RaggedIds.from_blocks([rows]), together, bundle.usage, unpooled(bundle))


def prove(
    runner: Runner,
    bundle: Bundle,
    reference: Reference,
    precision: Precision,
    *,
    longest: int | None = None,
    own_limits: Mapping[str, float] | None = None,
    on_gpu: bool = False,
) -> Verification:
    """Measure the runner as every variant of that precision is measured.

    `longest` leaves out texts of more tokens, which an engine has no profile for. `own_limits` replaces limits by name.
    What int8 runs `on_gpu` gives may depend on the rest of the batch by more than on a processor.
    """
    limits = thresholds_for(ON_GPU_INT8 if on_gpu and precision is Precision.INT8 else precision, own_limits)
    longest = longest or bundle.max_length
    rows = np.flatnonzero(reference.ids.lengths <= longest)
    kept = replace(reference, ids=_of_rows(reference.ids, rows.tolist()), vectors=reference.vectors[rows])
    return measure(
        runner,
        kept,
        limits,
        pad_id=bundle.pad_token_id,
        longest=longest,
        min_texts=FEWEST,
        judged=ALL_LIMITS if len(rows) >= MIN_TEXTS else WITHOUT_RANKS,
    )


def _of_rows(ids: RaggedIds, rows: Sequence[int]) -> RaggedIds:
    return RaggedIds.from_blocks([[ids[row].tolist() for row in rows]])
