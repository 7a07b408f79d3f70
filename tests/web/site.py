"""A static server on this machine, like `python -m http.server`, of which single files can be changed or taken away."""

from __future__ import annotations

from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.local_http import Serving


class Site(Serving):
    """Serve a folder until the context ends; `changed` maps `/path` to other bytes, or to None for a missing file.

    `headers` go with each answer.
    """

    def __init__(self, folder: Path) -> None:
        self.changed: dict[str, bytes | None] = {}
        self.headers = {"Cache-Control": "no-store"}  # what was changed must be seen
        site = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path not in site.changed:
                    super().do_GET()
                elif (content := site.changed[path]) is None:
                    self.send_error(404)
                else:
                    self.send_response(200)
                    self.send_header("Content-Type", self.guess_type(path))
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def end_headers(self) -> None:
                for header in site.headers.items():
                    self.send_header(*header)
                super().end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)
        self.address += "/"
