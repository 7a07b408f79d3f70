"""A Hugging Face hub on this machine, as far as huggingface_hub calls it: fetch files, make a repository, commit."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote

from tests.local_http import Serving

_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_API = re.compile(r"/api/models/([^/]+/[^/]+)/(revision|tree|preupload|commit)/([^/]+)")
_MAIN = "main"


class _Handler(BaseHTTPRequestHandler):
    @property
    def hub(self) -> Hub:
        found: Hub = self.server.hub  # type: ignore[attr-defined]
        return found

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        if self.path.startswith("/api/"):
            self._info()
        else:
            self._file(body=True)

    def do_POST(self) -> None:
        self.hub.asked.append((self.command, self.path))
        raw = self._body()
        if self.path == "/api/repos/create":
            wanted = json.loads(raw)
            name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
            if name in self.hub.commits:
                self._json({"url": f"{self.hub.address}/{name}", "error": "exists"}, 409)
                return
            self.hub.commits[name] = [{}]
            self._json({"url": f"{self.hub.address}/{name}", "name": name})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif found := _API.fullmatch(self.path.partition("?")[0]):
            name, what, _ = found.groups()
            self._json(self._preupload(raw) if what == "preupload" else self._commit(name, raw))
        else:
            self._refuse(404, "EntryNotFound", "no such endpoint")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _preupload(self, raw: bytes) -> object:
        paths = [file["path"] for file in json.loads(raw)["files"]]
        return {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]}

    def _commit(self, name: str, raw: bytes) -> object:
        files = dict(self.hub.commits[name][-1])
        for line in raw.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        self.hub.commits[name].append(files)
        oid = self.hub.commit_of(name, len(self.hub.commits[name]) - 1)
        return {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.address}/{name}/commit/{oid}"}

    def _info(self) -> None:
        self.hub.asked.append((self.command, self.path))
        found = _API.fullmatch(self.path.partition("?")[0])
        name = found[1] if found else self.path.removeprefix("/api/models/").partition("?")[0]
        number = self.hub.number_of(name, found[3] if found else _MAIN)
        if number is None:
            self._refuse(404, "RepoNotFound", "no such repository")
            return
        if found and found[2] == "tree":
            contents = self.hub.commits[name][number].items()
            oids = ((path, content, hashlib.sha1(content).hexdigest()) for path, content in contents)
            self._json([{"type": "file", "path": path, "size": len(c), "oid": oid} for path, c, oid in oids])
            return
        files = [{"rfilename": path} for path in self.hub.commits[name][number]]
        self._json({"id": name, "modelId": name, "sha": self.hub.commit_of(name, number), "siblings": files})

    def _file(self, *, body: bool) -> None:
        self.hub.asked.append((self.command, self.path))
        found = _RESOLVE.fullmatch(unquote(self.path.partition("?")[0]))
        name = found[1] if found else ""
        if name not in self.hub.commits or found is None:
            self._refuse(401, "RepoNotFound", "no such repository")
            return
        number = self.hub.number_of(name, found[2])
        if number is None:
            self._refuse(404, "RevisionNotFound", "no such revision")
            return
        content = self.hub.commits[name][number].get(found[3])
        if content is None:
            self._refuse(404, "EntryNotFound", "no such file", commit=self.hub.commit_of(name, number))
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.hub.commit_of(name, number))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _refuse(self, status: int, code: str, why: str, commit: str | None = None) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", why)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, value: object, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Hub(Serving):
    """Serves repositories until the context ends. `address` goes into HF_ENDPOINT."""

    def __init__(self) -> None:
        self.commits: dict[str, list[dict[str, bytes]]] = {}  # by repository: path -> content, of each commit
        self.tags: dict[tuple[str, str], int] = {}  # of a repository: number of the commit
        self.asked: list[tuple[str, str]] = []  # methods and paths
        super().__init__(_Handler)
        self.server.hub = self  # type: ignore[attr-defined]

    def add(self, name: str, folder: Path, *, tag: str | None = None) -> None:
        """Commit all files of a folder, and nothing else, to a repository that may be new."""
        files = {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
        self.commits.setdefault(name, []).append(files)
        if tag is not None:
            self.tags[name, tag] = len(self.commits[name]) - 1

    def commit_of(self, name: str, number: int) -> str:
        return hashlib.sha1(f"{name} {number}".encode()).hexdigest()

    def number_of(self, name: str, revision: str) -> int | None:
        commits = self.commits.get(name, [])
        if revision == _MAIN and commits:
            return len(commits) - 1
        hashes = {self.commit_of(name, number): number for number in range(len(commits))}
        return self.tags.get((name, revision), hashes.get(revision))

    def fetched(self) -> list[str]:
        """Return the names of the files that were asked for, each once, in order."""
        paths = [_RESOLVE.fullmatch(unquote(path)) for method, path in self.asked if method == "GET"]
        return list(dict.fromkeys(found[3] for found in paths if found))

    def around(self, home: Path) -> dict[str, str]:
        """Return the environment of a process that knows no other hub, with a cache of its own in `home`."""
        own = {"HF_ENDPOINT": self.address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_test"}
        return {**os.environ, **own, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
