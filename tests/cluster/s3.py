"""A small server with as much of S3 as Arrow's client needs; keeps objects in memory and can fail on purpose."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KEY, SECRET = "testkey", "very/secret"
BUCKET = "bucket"  # the only one


@dataclass
class Store:
    """What the server holds."""

    address: str = ""  # host and port
    objects: dict[str, tuple[bytes, float]] = field(default_factory=dict)  # by bucket/key
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    requests: int = 0
    fail_every: int = 0  # which request is answered with an internal error; 0: none
    lock: threading.Lock = field(default_factory=threading.Lock)

    def uri(self, path: str, key: str = KEY, secret: str = SECRET) -> str:
        login = f"{key}:{secret.replace('/', '%2F')}@"
        return f"s3://{login}{path}?endpoint_override={self.address}&scheme=http&region=us-east-1"

    def names(self) -> list[str]:
        return sorted(name for name in self.objects if not name.endswith("/"))


@contextmanager
def serving() -> Iterator[Store]:
    store = Store()

    class Handler(_Handler):
        held = store

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: Store

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        body = self._body()
        split = urlsplit(self.path)
        name, query = unquote(split.path).lstrip("/"), parse_qs(split.query, keep_blank_values=True)
        with self.held.lock:
            self.held.requests += 1
            if self.held.fail_every and self.held.requests % self.held.fail_every == 0:
                self._error(500, "InternalError")
            elif f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
                self._error(403, "InvalidAccessKeyId")
            else:
                getattr(self, f"_on_{self.command.lower()}")(name, query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _on_head(self, name: str, query: dict[str, list[str]], body: bytes) -> None:
        if "/" in name:
            self._on_get(name, query, body)
        elif name == BUCKET:
            self._reply(200)
        else:
            self._error(404, "NoSuchBucket")

    def _on_get(self, name: str, query: dict[str, list[str]], body: bytes) -> None:
        if "list-type" in query:
            self._reply(200, self._listing(name, query))
        elif name not in self.held.objects:
            self._error(404, "NoSuchKey")
        else:
            self._content(*self.held.objects[name])

    def _content(self, content: bytes, changed: float) -> None:
        headers = {"ETag": f'"{md5(content).hexdigest()}"', "Last-Modified": formatdate(changed, usegmt=True)}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self._reply(206, content[first : last + 1], headers)
        else:
            self._reply(200, content, headers)

    def _on_put(self, name: str, query: dict[str, list[str]], body: bytes) -> None:
        if "uploadId" in query:
            self.held.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = body
        else:
            self.held.objects[name] = (body, time.time())
        self._reply(200, b"", {"ETag": f'"{md5(body).hexdigest()}"'})

    def _on_post(self, name: str, query: dict[str, list[str]], body: bytes) -> None:
        if "uploads" in query:
            upload = f"upload{len(self.held.uploads)}"
            self.held.uploads[upload] = {}
            tag, content = "InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>"
        elif "delete" in query:
            for key in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.held.objects.pop(f"{name}/{key}", None)
            tag, content = "DeleteResult", ""
        else:
            parts = self.held.uploads.pop(query["uploadId"][0], None)
            if parts is not None:  # else it has been completed before, and S3 says so again
                self.held.objects[name] = (b"".join(parts[number] for number in sorted(parts)), time.time())
            tag, content = "CompleteMultipartUploadResult", '<ETag>"x"</ETag>'
        self._reply(200, f"<{tag}>{content}</{tag}>".encode())

    def _on_delete(self, name: str, query: dict[str, list[str]], body: bytes) -> None:
        self.held.objects.pop(name, None)
        self._reply(204)

    def _listing(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        start = query.get("prefix", [""])[0]
        between = query.get("delimiter", [""])[0]
        most = int(query.get("max-keys", ["1000"])[0])
        rows: list[str] = []
        folders: set[str] = set()
        for full, (content, changed) in sorted(self.held.objects.items()):
            key = full.partition("/")[2]
            if not full.startswith(f"{bucket}/") or not key.startswith(start):
                continue
            head, found, _ = key[len(start) :].partition(between) if between else (key, "", "")
            if found:
                folders.add(start + head + between)
            elif len(rows) < most:
                when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(changed))
                rows.append(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>{when}</LastModified>"
                    f"<ETag>&quot;{md5(content).hexdigest()}&quot;</ETag><Size>{len(content)}</Size></Contents>"
                )
        common = "".join(f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in sorted(folders))
        count = len(rows) + len(folders)
        return (
            f"<ListBucketResult><Name>{bucket}</Name><Prefix>{escape(start)}</Prefix><KeyCount>{count}</KeyCount>"
            f"<MaxKeys>{most}</MaxKeys><IsTruncated>false</IsTruncated>{''.join(rows)}{common}</ListBucketResult>"
        ).encode()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            raw = b""
            while size := int(self.rfile.readline(), 16):
                raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return raw
        content = b""
        while raw:
            head, _, raw = raw.partition(b"\r\n")
            size = int(head.partition(b";")[0], 16)
            if not size:
                break
            content, raw = content + raw[:size], raw[size + 2 :]
        return content

    def _error(self, status: int, code: str) -> None:
        self._reply(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/xml")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
