"""mirrorkit_native says by ctypes what mirrorkit.h says in C."""

from __future__ import annotations

import re

from tests.cpp.building import SOURCE

CTYPES = {
    "size_t": "c_size_t",
    "const char *": "c_char_p",
    "int32_t": "c_int32",
}


def test_its_params_are_the_first_of_the_header() -> None:
    header = (SOURCE / "include" / "mirrorkit.h").read_text(encoding="utf-8")
    struct = re.search(r"typedef struct mirrorkit_params \{(.*?)\} mirrorkit_params;", header, re.DOTALL)
    assert struct is not None
    body = re.sub(r"/\*.*?\*/", "", struct[1], flags=re.DOTALL)
    fields = re.findall(r"^\s*(\S.*?[ *])(\w+);", body, re.MULTILINE)
    module = (SOURCE / "python" / "mirrorkit_native" / "encoder.py").read_text(encoding="utf-8")
    found = re.findall(r'^        \("(\w+)", (c_\w+)\),$', module, re.MULTILINE)
    assert found[0] == ("size", "c_size_t")
    assert found == [(name, CTYPES[kind.strip()]) for kind, name in fields[: len(found)]]
