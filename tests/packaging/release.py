"""Build what is released, bit for bit the same wherever and whenever: wheel, source archive, list of parts (SBOM).

    python tests/packaging/release.py OUT

The time in all of it is SOURCE_DATE_EPOCH, by default that of the last commit.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import uuid
import zipfile
from datetime import datetime, timezone
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main(out: Path) -> None:
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or _last_commit())
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tree = work / "tree"  # what is committed or staged, and nothing that only this checkout has
        listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT).decode().split("\0")
        for file in filter(None, listed):
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            (tree / file).write_bytes((ROOT / file).read_bytes())
        env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
        build = [sys.executable, "-m", "build", "-q", "--outdir", str(work / "built"), str(tree)]
        subprocess.run(build, check=True, env=env, stdout=subprocess.DEVNULL)
        (wheel,) = (work / "built").glob("*.whl")
        (source,) = (work / "built").glob("*.tar.gz")
        (out / wheel.name).write_bytes(wheel.read_bytes())
        (out / source.name).write_bytes(same_archive(source.read_bytes(), epoch))
    bill = parts(out / wheel.name, epoch)
    (out / f"{wheel.name}.cdx.json").write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


def same_archive(packed: bytes, epoch: int) -> bytes:
    """Return a .tar.gz with its entries in order, without who built it and when."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(packed)) as old, tarfile.open(fileobj=plain, mode="w") as new:
        for entry in sorted(old.getmembers(), key=lambda entry: entry.name):
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = epoch
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            entry.pax_headers = {}
            new.addfile(entry, old.extractfile(entry) if entry.isfile() else None)
    return gzip.compress(plain.getvalue(), mtime=epoch)


def parts(wheel: Path, epoch: int) -> dict[str, object]:
    """Return what the wheel is made of and asks for, in the form of CycloneDX 1.5."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (entry for entry in opened.namelist() if entry.endswith(".dist-info/METADATA"))
        about = Parser().parsestr(opened.read(name).decode())
        files = [
            {"type": "file", "name": entry, "hashes": [_sha256(opened.read(entry))]}
            for entry in sorted(opened.namelist())
            if not entry.endswith("/")
        ]
    version = about["Version"]
    reference = f"pkg:pypi/mirrorkit@{version}"
    asked = [
        {
            "type": "library",
            "name": text.split(";")[0].strip(),
            "scope": "optional" if "extra ==" in text else "required",
        }
        for text in about.get_all("Requires-Dist", [])
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, timezone.utc).isoformat(),
            "component": {
                "type": "library",
                "bom-ref": reference,
                "name": "mirrorkit",
                "version": version,
                "purl": reference,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "hashes": [{"alg": "SHA-256", "content": digest}],
            },
        },
        "components": [*asked, *files],
    }


def _sha256(content: bytes) -> dict[str, str]:
    return {"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}


def _last_commit() -> str:
    return subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT, text=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
