"""Take models of real size, with random weights, through the job once and print what each step takes.

    python -m tests.architectures.sizes [--only NAME] [--home FOLDER]

The table in docs/export.md is from it. It needs 16 GB of memory and 8 GB of disk, which it leaves as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import ROBERTA_SPECIAL, ROOT, _train_tokenizer

BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
SHAPES = {
    "BERT-base": ("bert", {"vocab_size": 30522, "max_position_embeddings": 512}),
    "XLM-R-base": ("xlm-roberta", {"vocab_size": 250002, "max_position_embeddings": 514}),
}
STEPS = {
    "finetune": ["finetune", "model", "texts.txt", "-o", "tuned", "--batch-size", "16", "--steps", "2", "--max-length",
                 "32", "--unit", "line", "--device", "cpu"],
    "export fp32": ["export", "tuned", "-o", "plain", "--variants", "fp32", "--max-length", "32"],
    "encode fp32": ["encode", "plain", "texts.txt", "-o", "fp32.npy", "--variant", "fp32"],
    "export int8": ["export", "tuned", "-o", "small", "--variants", "int8", "--max-length", "32"],
    "encode int8": ["encode", "small", "texts.txt", "-o", "int8.npy", "--variant", "int8"],
}  # fmt: skip
TEXTS = 1000


def build(name: str, folder: Path) -> None:
    """Write the model; its tokenizer is a small one, whose ids are the first rows of the table."""
    import torch
    import transformers

    kind, sizes = SHAPES[name]
    tokenizer = _train_tokenizer("bpe", ROBERTA_SPECIAL)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **ROBERTA_SPECIAL}
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(kind, pad_token_id=1, **{**BASE, **sizes})
    transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(folder)


def measured(words: list[str], home: Path) -> tuple[float, float, int]:
    """Run a command of mirrorkit; return its wall and processor time in seconds and its largest memory in bytes."""
    code = "import resource, subprocess, sys, time\nstart = time.perf_counter()\n"
    code += "done = subprocess.run(sys.argv[1:], check=False)\nused = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
    code += "print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)\n"
    code += "sys.exit(done.returncode)"
    command = [sys.executable, "-c", code, sys.executable, "-m", "mirrorkit", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    wall, processor, memory = done.stdout.splitlines()[-1].split()
    return float(wall), float(processor), int(memory)


def main(only: str | None, place: str | None) -> None:
    print("| model | step | wall, s | processor, s | memory, GB |\n|---|---|---|---|---|")
    lines = (ROOT / "mirrorkit" / "assets" / "graded.tsv").read_text(encoding="utf-8").splitlines()
    texts = [line.split("\t")[1] for line in lines]
    for name in [only] if only else SHAPES:
        home = Path(tempfile.mkdtemp(dir=place))
        try:
            (home / "texts.txt").write_text("\n".join((texts * 10)[:TEXTS]) + "\n", encoding="utf-8")
            build(name, home / "model")
            for step, words in STEPS.items():
                wall, processor, memory = measured(words, home)
                print(f"| {name} | {step} | {wall:.0f} | {processor:.0f} | {memory / 1e9:.1f} |", flush=True)
        finally:
            shutil.rmtree(home)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SHAPES)
    parser.add_argument("--home", help="folder to work in")
    given = parser.parse_args()
    main(given.only, given.home)
