"""The clients that load a server: how texts are handed out, how answers are read, what is made of the figures."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from itertools import islice

import pytest

from benchmarks.serving.__main__ import LOADS, table
from benchmarks.serving.load import Tally, load, single_beside_bulk, slices
from tests.local_http import Serving


class Vectors(BaseHTTPRequestHandler):
    """Answers every other request in pieces, and one that asks for five texts not at all."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked += 1
        self.send_response(429 if len(body["input"]) == 5 else 200)
        answer = json.dumps({"data": body["input"]}).encode()
        if self.asked % 2:
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer))

    def log_message(self, *_: object) -> None:
        pass


def test_texts_go_round() -> None:
    assert list(islice(slices(["a", "b", "c"], 2), 4)) == [["a", "b"], ["c", "a"], ["b", "c"], ["a", "b"]]


def test_answers_are_read_to_their_end_and_counted() -> None:
    with Serving(Vectors) as server:
        tally = load(server.address, "model", ["a", "b", "c"], clients=3, each=2, seconds=0.2)
        assert tally.texts == 2 * len(tally.latencies) > 0
        assert tally.rate == pytest.approx(tally.texts / tally.seconds)
        refused = load(server.address, "model", ["a"] * 5, clients=1, each=5, seconds=0.05)
        assert refused.texts == 0
        assert set(refused.failures) == {429}
        single, whole = single_beside_bulk(server.address, "model", ["a", "b"], bulk=2, seconds=0.8)
        assert single.texts == len(single.latencies) > 0
        assert whole.texts % 2 == 0


def test_percentiles_are_of_what_was_seen() -> None:
    tally = Tally(latencies=[0.001 * i for i in range(1, 101)])
    assert tally.percentile(50) == pytest.approx(51)
    assert tally.percentile(99) == pytest.approx(100)


def test_the_table_has_medians_and_leaves_out_what_nobody_measured() -> None:
    def one(value: float) -> dict[str, object]:
        figures = {"p50": value, "p99": value, "rate": value, "of_encode": value}
        names = ("encoder_one_ms", "alone_ms", "beside_bulk_ms", *(f"{c} x {e}" for c, e in LOADS))
        return {**dict.fromkeys(names, figures), "start_seconds": value, "memory_mb": None}

    shown = table([{"ours": one(value)} for value in (1.0, 5.0, 2.0)])
    assert "| start, s | 2.00 |" in shown
    assert "| memory, MB |  |" in shown
