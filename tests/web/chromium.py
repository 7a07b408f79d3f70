"""Drive a headless Chromium over a pipe, with nothing but the standard library.

The browser speaks its DevTools protocol on file descriptors 3 and 4, each message JSON that ends with a zero byte.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

PATIENCE = 120.0  # seconds for one answer; WebAssembly on a busy machine is slow
FLAGS = ["--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]


class PageError(Exception):
    """What a script in the page threw."""


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


class Chromium:
    """A browser of its own, with one page; a context that ends it."""

    def __init__(self, program: str, profile: Path) -> None:
        from_us, self._out = os.pipe()
        self._in, to_us = os.pipe()
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (from_us, to_us)]  # so that neither is 3 or 4
        unsandboxed = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [program, *FLAGS, *unsandboxed, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", *command],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (from_us, to_us, *theirs):
            os.close(fd)
        self._rest = b""
        self._count = 0
        self._session: str | None = None
        self._workers: set[str] = set()  # sessions of the page's workers
        self.requests: list[str] = []  # addresses asked for since `open`
        self.complaints: list[str] = []  # exceptions and errors in the console since `open`
        (target,) = [t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attach = {"targetId": target["targetId"], "flatten": True}
        self._session = self.send("Target.attachToTarget", **attach)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        try:
            self.send("Browser.close")
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(
        self,
        address: str,
        *,
        width: int = 1100,
        height: int = 900,
        dark: bool = False,
        first: str = "",
        keep: bool = False,
    ) -> None:
        """Go to an address, where the script `first` runs before any of the page's.

        What an earlier page put into the Cache API is gone unless `keep`.
        """
        if not keep and address.startswith("http"):
            origin = "/".join(address.split("/")[:3])
            self.send("Storage.clearDataForOrigin", origin=origin, storageTypes="cache_storage")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        script = self.send("Page.addScriptToEvaluateOnNewDocument", source=first)["identifier"]
        self.requests.clear()
        self.complaints.clear()
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")
        self.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script)

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression, awaited where it is a promise; raises PageError where it throws."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise PageError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{condition}: not true after {PATIENCE:.0f} s")
            time.sleep(0.05)

    def go_offline(self, offline: bool = True) -> None:
        """Let the page and its workers reach nothing, or everything again."""
        rate = 0 if offline else -1
        limits = {"offline": offline, "latency": 0, "downloadThroughput": rate, "uploadThroughput": rate}
        self.send("Network.emulateNetworkConditions", **limits)
        for worker in self._workers:
            self._post("Network.emulateNetworkConditions", limits, worker)

    def screenshot(self, file: Path) -> None:
        """Write the whole page, as far down as it goes, as a PNG."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        shown = {"clip": {**size, "scale": 1}, "captureBeyondViewport": True}
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", **shown)["data"]))

    def send(self, method: str, **params: Any) -> Any:
        """Send a command and return its result, taking note of the events that come before it."""
        number = self._post(method, params, self._session)
        while True:
            answer = self._next(method)
            if answer.get("id") == number:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _post(self, method: str, params: dict[str, Any], session: str | None) -> int:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._count

    def _next(self, waiting_for: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], PATIENCE)[0]:
                raise TimeoutError(f"{waiting_for}: no answer after {PATIENCE:.0f} s")
            block = os.read(self._in, 1 << 20)
            if not block:
                raise OSError(f"{waiting_for}: the browser has ended")
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Target.attachedToTarget":  # a worker waits until it is listened to
            if params["targetInfo"]["type"] == "page":
                return
            self._workers.add(params["sessionId"])
            for method in ("Network.enable", "Runtime.enable", "Log.enable", "Runtime.runIfWaitingForDebugger"):
                self._post(method, {}, params["sessionId"])
        elif event == "Target.detachedFromTarget":
            self._workers.discard(params["sessionId"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.complaints.append(json.dumps(params["args"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])
