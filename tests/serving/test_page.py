"""What docs/serve.md shows runs as it stands there, on a port that is free."""

from __future__ import annotations

import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks, differences, run
from tests.engines import lookup_bundle
from tests.serving.running import need_serve

need_serve()
for module in ("openai", "langchain_openai", "onnx", "onnxruntime"):
    pytest.importorskip(module, reason="tests/serving/run installs it")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_page_runs(shipped: Path, tmp_path: Path) -> None:
    from tests.docs.commands import commands

    lookup_bundle(tmp_path / "my-bundle", shipped / "tokenizer.json")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    shown = blocks(ROOT / "docs" / "serve.md")
    these = [replace(block, code=block.code.replace("8080", port)) for block in shown]
    first = Block("docs/serve.md", -1, "bash", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", None)
    _, *printed = run([first, *these], tmp_path, commands(tmp_path))
    assert '"object":"list"' in printed[0]
    for block, said in zip(these, printed, strict=True):
        assert not differences(block, said), differences(block, said)[0]
    assert (tmp_path / "serve.log").read_text().startswith("serving my-bundle (fp32) on http://127.0.0.1")
