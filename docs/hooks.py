"""Give the documentation site the READMEs that lie elsewhere in the repository, so that no page is written twice.

A hook of MkDocs (see mkdocs.yml). Links are written as they work in the repository; here they are made to work on the
site: to the page that a file has become, else to a copy of the file.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Path in the repository -> path on the site. What lies in docs/ keeps its place.
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/peers.md": "peers.md",
    "benchmarks/studies.md": "studies.md",
    "examples/README.md": "examples.md",
    "export/README.md": "use/devices.md",
    "export/cpp/PLATFORMS.md": "use/cpp-platforms.md",
    "export/cpp/README.md": "use/cpp.md",
    "export/cpp/ops/README.md": "use/ops.md",
    "export/js/README.md": "use/npm.md",
    "export/node/README.md": "use/node.md",
    "export/tensorrt/README.md": "use/tensorrt.md",
    "export/serve/README.md": "use/serve.md",
    "export/triton/README.md": "use/triton.md",
    "export/web/README.md": "use/web.md",
}
FENCE = re.compile(r"^(```.*?^```|(?: {4}[^\n]*\n)+)", re.MULTILINE | re.DOTALL)  # code, in which nothing is a link
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")


def on_files(files: Files, config: Any) -> Files:
    """Replace the pages of docs/ by ones whose links work here, and add those from elsewhere."""
    pages = dict(ELSEWHERE)
    pages |= {f"docs/{file.src_uri}": file.src_uri for file in files.documentation_pages()}
    copies: dict[str, Path] = {}
    for source, dest in pages.items():
        text = _linked((ROOT / source).read_text(encoding="utf-8"), source, pages, copies)
        if old := files.get_file_from_path(dest):
            files.remove(old)
        files.append(File.generated(config, dest, content=text))
    for uri, file in copies.items():
        files.append(File.generated(config, uri, content=file.read_bytes()))
    return files


def _linked(text: str, source: str, pages: dict[str, str], copies: dict[str, Path]) -> str:
    """Return the page's text with its links as they are on the site; files that it needs go into `copies`."""

    def moved(match: re.Match[str]) -> str:
        found = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        if (ROOT / found).is_dir():
            found = f"{found}/README.md"
        if not (ROOT / found).is_file():
            raise PluginError(f"{source}: the link {match[1]} leads to nothing")
        if found not in pages:
            copies[f"files/{found}"] = ROOT / found
        target = pages.get(found, f"files/{found}")
        return posixpath.relpath(target, posixpath.dirname(pages[source]) or ".")

    parts = FENCE.split(text)  # code stands at the odd places
    return "".join(part if i % 2 else LINK.sub(moved, part) for i, part in enumerate(parts))
