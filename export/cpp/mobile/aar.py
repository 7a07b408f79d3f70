"""Pack libmirrorkit.so of several ABIs into an AAR: python3 mobile/aar.py OUT.aar NDK LIBMIRRORKIT.SO...

NDK is the major release of the NDK that built them. Nothing of C++ crosses the libraries' border, so that to prefab
they have no STL.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[1]
_API = 24  # the preset's ANDROID_PLATFORM
# by the class and the machine of an ELF file
_ABIS = {(1, 0x28): "armeabi-v7a", (2, 0xB7): "arm64-v8a", (1, 0x03): "x86", (2, 0x3E): "x86_64"}
_MANIFEST = f"""\
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="io.mirrorkit">
  <uses-sdk android:minSdkVersion="{_API}"/>
</manifest>
"""
_WHEN = (1980, 1, 1, 0, 0, 0)  # the same libraries make the same archive


def abi_of(library: Path) -> str:
    """Return the ABI that a shared library is for, as its ELF header says."""
    head = library.read_bytes()[:20]
    abi = _ABIS.get((head[4], head[18])) if len(head) == 20 and head[:4] == b"\x7fELF" else None
    if abi is None:
        sys.exit(f"{library}: not a shared library for one of {', '.join(_ABIS.values())}")
    return abi


def main(out: Path, ndk: int, libraries: list[Path]) -> None:
    version = (_SOURCE / "VERSION").read_text(encoding="utf-8").strip()
    module = "prefab/modules/mirrorkit"
    files: dict[str, bytes] = {
        "AndroidManifest.xml": _MANIFEST.encode(),
        "prefab/prefab.json": _json(schema_version=2, name="mirrorkit", version=version, dependencies=[]),
        f"{module}/module.json": _json(export_libraries=[], library_name=None, android={}),
    }
    for header in ("mirrorkit.h", "mirrorkit.hpp"):
        files[f"{module}/include/{header}"] = (_SOURCE / "include" / header).read_bytes()
    for name in ("LICENSE", "NOTICE.txt"):
        files[f"META-INF/{name}"] = (_SOURCE / name).read_bytes()
    for library in libraries:
        abi, content = abi_of(library), library.read_bytes()
        if f"jni/{abi}/libmirrorkit.so" in files:
            sys.exit(f"{library}: {abi} was given twice")
        files[f"jni/{abi}/libmirrorkit.so"] = files[f"{module}/libs/android.{abi}/libmirrorkit.so"] = content
        files[f"{module}/libs/android.{abi}/abi.json"] = _json(abi=abi, api=_API, ndk=ndk, stl="none")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _WHEN), content, zipfile.ZIP_DEFLATED)


def _json(**fields: object) -> bytes:
    return json.dumps(fields, indent=2).encode()


if __name__ == "__main__":
    if len(sys.argv) < 4 or not sys.argv[2].isdigit():
        sys.exit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
