"""The search page in a real browser: keyboard, both schemes, narrow and wide, hostile texts, a key."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import lookup_bundle
from tests.serving.running import Running, need_serve, running
from tests.web.chromium import Chromium, find_chromium

need_serve()
pytest.importorskip("onnx", reason="needs the export extra, to make what is served")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from tests.serving.test_search import KEY, wait_for

HOSTILE = [
    "<img src=x onerror=\"document.title='tea'\"> tea",
    "</script><script>document.title='tea'</script> tea",
    "<b>tea</b> & &lt;i&gt; \"quotes' `ticks` ${1+1}",
    "\u202eaet\u202c tea \u0000 \u200f\u2066",
    "tea " + "x" * 400,
    "javascript:document.title='tea' tea",
    *(f"A cup of tea number {number}, please." for number in range(8)),
]
SHOWN = "[...document.querySelectorAll('#found li')].map((li) => li.innerText)"
DONE = "document.querySelector('#found li') !== null"
# The lowest contrast (WCAG 2) of any text that is seen, against the first background that is not transparent.
CONTRAST = """(() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const { backgroundColor } = getComputedStyle(node);
    return backgroundColor === "rgba(0, 0, 0, 0)" ? behind(node.parentElement) : backgroundColor;
  };
  const seen = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility()
    && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
  return Math.min(...seen.map((node) => {
    const [low, high] = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }));
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = find_chromium()
    if program is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")
    with Chromium(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def place(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("searched")
    lookup_bundle(place / "tuned", shipped / "tokenizer.json")
    lookup_bundle(place / "base", shipped / "tokenizer.json", ("int8",))
    (place / "texts.jsonl").write_text("".join(f"{json.dumps({'text': text})}\n" for text in HOSTILE), "utf-8")
    return place


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Running]:
    searched = ("--search", place / "texts.jsonl", "--before", place / "base")
    with running(place / "tuned", arguments=searched, XDG_CACHE_HOME=str(place / "cache")) as started:
        wait_for(started)
        yield started


def press(browser: Chromium, *keys: str) -> None:
    for key in keys:
        named = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        pressed: dict[str, Any] = {"key": key, "code": key, **({"text": named} if named else {})}
        if key == "Enter":
            pressed["windowsVirtualKeyCode"] = 13
        browser.send("Input.dispatchKeyEvent", type="keyDown", **pressed)
        browser.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)


def opened(browser: Chromium, server: Running, **how: Any) -> None:
    browser.open(f"{server.address}/", **how)
    browser.wait("!document.getElementById('ask').hidden")


def looked_for(browser: Chromium, query: str) -> None:
    browser.evaluate("document.getElementById('query').focus()")
    browser.send("Input.insertText", text=query)
    press(browser, "Enter")
    browser.wait(DONE)


def focused(browser: Chromium) -> str:
    return str(browser.evaluate("document.activeElement.id || document.activeElement.innerText"))


def test_texts_are_shown_and_nothing_in_them_is_run(browser: Chromium, server: Running) -> None:
    opened(browser, server)
    looked_for(browser, "tea")
    hits = server.ask("/search", {"query": "tea"}).json
    shown = browser.evaluate("[...document.querySelectorAll('#found .text')].map((text) => text.textContent)")
    assert shown == [hit["text"] for side in (hits["before"], hits) for hit in side["hits"]]
    assert set(HOSTILE[:4]) & set(shown)
    assert browser.evaluate("document.title") == "mirrorkit: search by meaning"
    assert browser.evaluate("document.querySelectorAll('#found img, #found script, #found b').length") == 0
    scores = browser.evaluate("[...document.querySelectorAll('section:last-child .score')].map((s) => s.textContent)")
    assert scores == [f"{hit['score']:.4f}" for hit in hits["hits"]]
    places = browser.evaluate("[...document.querySelectorAll('section:last-child .place')].map((s) => s.textContent)")
    assert places == [hit["place"] for hit in hits["hits"]]
    assert browser.evaluate("document.querySelectorAll('.was').length") == len(hits["hits"])
    assert browser.complaints == []
    assert all(address.startswith((server.address, "data:")) for address in browser.requests)


def test_all_of_it_goes_by_keyboard(browser: Chromium, server: Running) -> None:
    opened(browser, server)
    browser.evaluate("document.activeElement.blur()")
    press(browser, "/")
    assert (focused(browser), browser.evaluate("document.getElementById('query').value")) == ("query", "")
    looked_for(browser, "a/b tea")  # a slash that is typed stays one
    assert browser.evaluate("document.getElementById('query').value") == "a/b tea"
    lists = "[...document.querySelectorAll('#found ol')].map((ol) => [...ol.querySelectorAll('summary')])"
    where = f"(({lists}).map((list, at) => [at, list.indexOf(document.activeElement)]).find(([, row]) => row >= 0))"
    press(browser, "ArrowDown")
    assert browser.evaluate(where) == [1, 0]
    press(browser, "ArrowDown", "ArrowDown")
    assert browser.evaluate(where) == [1, 2]
    press(browser, "ArrowLeft")
    assert browser.evaluate(where) == [0, 2]
    press(browser, "End")
    assert browser.evaluate(where) == [0, 9]
    press(browser, "ArrowDown", "ArrowRight", "Home")
    assert browser.evaluate(where) == [1, 0]
    press(browser, "Enter")
    assert browser.evaluate("document.activeElement.parentElement.open") is True
    press(browser, "ArrowUp")
    assert focused(browser) == "query"
    press(browser, "ArrowDown", "Escape")
    assert focused(browser) == "query"
    press(browser, "Escape")
    assert browser.evaluate("document.getElementById('query').value") == ""
    assert "of 14" in browser.evaluate("document.querySelector('[role=status]').textContent")


@pytest.mark.parametrize(("dark", "width"), [(False, 360), (True, 360), (False, 1200), (True, 1200)])
def test_it_is_legible(dark: bool, width: int, browser: Chromium, server: Running, tmp_path: Path) -> None:
    opened(browser, server, dark=dark, width=width)
    looked_for(browser, "tea")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(CONTRAST) >= 4.5
    browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    lefts = browser.evaluate("[...document.querySelectorAll('section')].map((one) => one.getBoundingClientRect().left)")
    assert (lefts[0] == lefts[1]) == (width == 360)  # one below the other, or side by side
    folder = Path(os.environ.get("MIRRORKIT_SCREENSHOTS", tmp_path))
    browser.screenshot(folder / f"search-{width}-{'dark' if dark else 'light'}.png")


def test_what_goes_wrong_is_said(browser: Chromium, place: Path) -> None:
    with running(place / "tuned", arguments=("--search", place / "texts.jsonl")) as started:
        wait_for(started)
        opened(browser, started)
    browser.evaluate("document.getElementById('query').value = 'tea'")
    browser.evaluate("document.getElementById('ask').requestSubmit()")
    browser.wait("!document.getElementById('error').hidden")
    assert browser.evaluate("document.getElementById('error').textContent") == "the server does not answer"


def test_the_key_is_asked_for_and_kept_nowhere(browser: Chromium, place: Path, tmp_path: Path) -> None:
    arguments = ("--search", place / "texts.jsonl")
    with running(place / "tuned", arguments=arguments, MIRRORKIT_API_KEY=KEY) as locked:
        wait_for(locked)
        browser.open(f"{locked.address}/")
        browser.wait("!document.getElementById('unlock').hidden")
        assert browser.evaluate("document.getElementById('ask').hidden && document.getElementById('error').hidden")
        for given in ("a-wrong-key-that-is-none", KEY):
            browser.send("Input.insertText", text=given)
            press(browser, "Enter")
            browser.wait("document.getElementById('key').value === ''")
            if given != KEY:
                browser.wait("!document.getElementById('error').hidden")
                assert "Incorrect API key" in browser.evaluate("document.getElementById('error').textContent")
        browser.wait("!document.getElementById('ask').hidden")
        looked_for(browser, "tea")
        assert len(browser.evaluate(SHOWN)) == 10
        kept = "localStorage.length + sessionStorage.length + document.cookie.length"
        assert browser.evaluate(kept) == 0
        assert KEY not in browser.evaluate("document.documentElement.outerHTML + location.href")
        browser.open(f"{locked.address}/")
        browser.wait("!document.getElementById('unlock').hidden")


def test_without_files_it_says_how_to_start_and_ranks_what_is_typed(
    browser: Chromium, place: Path, tmp_path: Path
) -> None:
    with running(place / "tuned") as bare:
        opened(browser, bare, width=360)
        told = browser.evaluate("document.getElementById('about').textContent")
        assert "mirrorkit serve BUNDLE --search FILE_OR_FOLDER" in told
        looked_for(browser, "Vienna")
        shown = browser.evaluate(SHOWN)
        assert len(shown) == 6
        assert "Vienna" in shown[0]
        assert browser.evaluate("document.documentElement.scrollWidth") <= 360
        folder = Path(os.environ.get("MIRRORKIT_SCREENSHOTS", tmp_path))
        browser.screenshot(folder / "search-typed-360.png")
        assert browser.complaints == []
