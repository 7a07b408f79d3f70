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
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { Tokenizer } from "./node_modules/mirrorkit/src/tokenizer.mjs";

const { tokenizer, texts } = JSON.parse(await text(process.stdin));
const module = await WebAssembly.compile(await readFile("node_modules/mirrorkit/wasm/tokenizer.wasm"));
const opened = await Tokenizer.open(module, new TextEncoder().encode(tokenizer), { maxLength: 100000, side: "right" });
console.log(JSON.stringify(opened.encode(texts).map((ids) => Array.from(ids))));
"""


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "albert", "modernbert", "llama", "gpt4"])
def test_ids_of_a_trimmed_tokenizer(family: str, project: Path) -> None:
    made = cut(FAMILIES[family](), texts()[:FEW])
    given = [*texts()[: 3 * FEW], *REAL_TEXTS]
    (project / "ids.mjs").write_text(SCRIPT, encoding="utf-8")
    job = {"tokenizer": json.dumps(made.value), "texts": given}
    assert json.loads(run("node", "ids.mjs", cwd=project, given=json.dumps(job))) == ids_of(made.new, given)


def ids_of(tokenizer: Tokenizer, given: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(given)]
