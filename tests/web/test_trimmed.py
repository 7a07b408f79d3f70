"""The npm package gives a trimmed vocabulary the ids that `tokenizers` gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.conftest import REAL_TEXTS
from tests.cpp.families import FAMILIES, texts
from tests.exporter.trim.cutting import cut
from tests.web.consumer import run

pytestmark = [pytest.mark.slow, pytest.mark.web]

FEW = 40  # texts of the corpus
SCRIPT = """
import { text } from "node:stream/consumers";
import { Tokenizer } from "@huggingface/tokenizers";
import { toIds } from "./node_modules/mirrorkit/src/tokens.mjs";

const { tokenizers, texts } = JSON.parse(await text(process.stdin));
const all = tokenizers.map((value) => toIds(Tokenizer, [value, {}], 100000, "right"));
console.log(JSON.stringify(all.map(({ ids }) => texts.map((one) => Array.from(ids(one))))));
"""


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "albert", "modernbert", "llama", "gpt4"])
def test_ids_of_a_trimmed_tokenizer(family: str, project: Path) -> None:
    """A text on which the two agreed before is one on which they agree after."""
    made = cut(FAMILIES[family](), texts()[:FEW])
    given = [*texts()[: 3 * FEW], *REAL_TEXTS]
    (project / "ids.mjs").write_text(SCRIPT, encoding="utf-8")
    job = {"tokenizers": [json.loads(made.old.to_str()), made.value], "texts": given}
    old, new = json.loads(run("node", "ids.mjs", cwd=project, given=json.dumps(job)))
    agreed = [i for i, ids in enumerate(ids_of(made.old, given)) if ids == old[i]]
    assert len(agreed) > 0.95 * len(given)
    right = ids_of(made.new, given)
    assert [new[i] for i in agreed] == [right[i] for i in agreed]


def ids_of(tokenizer: Tokenizer, given: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(given)]
