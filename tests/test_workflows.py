"""What runs on other people's machines is what runs here: the workflows call the checkout's own scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="needs PyYAML, which comes with transformers")

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
OWN = {".ci/run", "tests/packaging/release.py"}


def steps(file: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_there_are_two() -> None:
    assert [file.stem for file in WORKFLOWS] == ["release", "tests"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_every_step_that_does_work_is_a_script_of_the_checkout(file: Path) -> None:
    commands = [step["run"] for step in steps(file) if "run" in step and not step["run"].startswith("mkdir")]
    scripts = {word for command in commands for word in command.split() if word in OWN}
    assert ".ci/run" in scripts
    assert all(any(word in OWN for word in command.split()) for command in commands)
    assert all((ROOT / script).is_file() for script in scripts)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_no_secret_is_needed_and_nothing_may_be_written(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "secrets." not in text
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
