"""A review in a real browser, from disk: by keyboard and touch, kept, exported, read again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import BEYOND, IS_THERE, LOW_CONTRAST, barriers, browsing, look
from made_annotation import candidates, made_annotation, made_photo
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from orchestrator.config.settings import Settings
from orchestrator.pages.review.review import ReviewOptions, review
from workloads.annotation.review import Review
from workloads.annotation.store import AnnotationStore

HOSTILE = "<img src=x onerror='window.broken=1'></script>"
CLASSES = ("cat", "dog", "catfish", HOSTILE, "owl" + "l" * 70)
CAT, DOG = (0, 0.9, (4.3, 6.1, 40.7, 30.9)), (1, 0.8, (16, 12, 48, 36))
CAT_BOX, DOG_BOX = (np.array(box[2], np.float32).tolist() for box in (CAT, DOG))
ODD = (3, 0.7, (0, 0, 64, 48))
LONG = (4, 0.6, (50, 2, 63, 47))
MAP = (np.eye(6, dtype=np.float32),)
# By the best score: the order in which they are shown, three on a page.
FOUND = {
    "a.png": candidates({0: 0.99, 1: 0.98}, [CAT, DOG], maps=[MAP, MAP]),
    "b.png": candidates({0: 0.9}, [CAT], maps=[MAP]),
    "c.png": candidates({1: 0.8}, [DOG]),
    f"d {HOSTILE.replace('/', '')}.png": candidates({3: 0.7, 4: 0.6}, [ODD, LONG]),
    "e.png": candidates({1: 0.55}, [DOG]),
    "f.png": candidates({0: 0.2}),
    "g.png": candidates({0: 0.15}, [CAT]),
}

pytestmark = pytest.mark.skipif(not IS_THERE, reason="needs chromium and its driver")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("review")
    for seed, name in enumerate([*FOUND, "lost.png"]):
        made_photo(place / "images" / name, seed)
    seen = {**FOUND, "lost.png": candidates({0: 0.97}, [CAT])}
    made_annotation(place / "store", place / "images", seen, CLASSES)
    made_annotation(place / "other", place / "images", FOUND, ("dog", "cat"[:3], *CLASSES[2:]))
    (place / "images/lost.png").unlink()
    options = ReviewOptions(by="score", page_size=3, other=place / "other")
    settings = Settings(workspace=place / "ws")
    return review(settings, place / "store", place / "images", place / "out", options).out


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def page(chrome: Chrome, folder: Path, tmp_path: Path) -> Iterator[Chrome]:
    """The review without any decision; it must not have complained in the end."""
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chrome.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    look(chrome, 1280)
    open_fresh(chrome, folder)
    chrome.execute_script("localStorage.clear()")
    open_fresh(chrome, folder)
    yield chrome
    assert chrome.get_log("browser") == []


def open_fresh(browser: Chrome, folder: Path, image: str = "") -> None:
    browser.get("about:blank")
    browser.get((folder / "index.html").as_uri() + image)
    until(browser, lambda: place(browser) != "")


def until(browser: Chrome, holds: Callable[[], Any]) -> Any:
    return WebDriverWait(browser, 10, poll_frequency=0.02).until(lambda _: holds())


def text(browser: Chrome, element: str) -> str:
    script = "return document.getElementById(arguments[0]).textContent"
    return str(browser.execute_script(script, element))


def place(browser: Chrome) -> str:
    return text(browser, "place").partition(" ")[0]


def press(browser: Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def go(browser: Chrome, key: str, number: int) -> None:
    """Press a key that leads to an image."""
    press(browser, key)
    until(browser, lambda: place(browser) == str(number))


def saved(browser: Chrome, button: str, pattern: str, tmp_path: Path) -> Any:
    """The JSON that a button downloads."""
    browser.execute_script("document.getElementById(arguments[0]).click()", button)
    (path,) = until(browser, lambda: list(tmp_path.glob(pattern)))
    until(browser, lambda: path.stat().st_size)
    value = json.loads(path.read_text("utf-8"))
    path.unlink()
    return value


def decide_all(browser: Chrome) -> dict[str, Any]:
    """A walk by keyboard, and what it decides."""
    go(browser, "a", 2)  # both boxes of the first image, then on
    press(browser, "c", "cat", Keys.ARROW_DOWN, Keys.ENTER)  # cat, catfish: the second
    go(browser, Keys.ARROW_RIGHT, 3)
    go(browser, "r", 4)  # the last one of its page
    press(browser, "2", "r", "1", "a")
    go(browser, Keys.ARROW_LEFT, 3)
    go(browser, "n", 5)  # the next one without decisions
    press(browser, "1", "r", "u")
    go(browser, "u", 4)  # takes the last one of image 4 back, and goes there
    press(browser, "1", "c", "dog", Keys.ENTER)
    go(browser, "n", 5)
    go(browser, Keys.ARROW_RIGHT, 6)
    press(browser, "a")  # nothing is there, and that is right
    until(browser, lambda: place(browser) == "7")
    cat, dog = {"label": "cat", "box": CAT_BOX}, {"label": "dog", "box": DOG_BOX}
    odd = {"label": HOSTILE, "box": [0, 0, 64, 48]}
    return {
        "1": [{**cat, "verdict": "accept"}, {**dog, "verdict": "accept"}],
        "2": [{**cat, "verdict": "relabel", "to": "catfish"}],
        "3": [{**dog, "verdict": "reject"}],
        "4": [
            {**odd, "verdict": "relabel", "to": "dog"},
            {"label": CLASSES[4], "box": [50, 2, 63, 47], "verdict": "reject"},
        ],
        "6": [],
    }


def read_by_export(store: Path, decisions: dict[str, Any], tmp_path: Path) -> None:
    """`wsol export --review` finds every box of the file, and does what it says."""
    opened = AnnotationStore.open(store)
    (tmp_path / "decisions.json").write_text(json.dumps(decisions))
    said = Review.read(tmp_path / "decisions.json", opened.model_name, CLASSES)
    said.check(opened.found())
    second = next(image for image in opened.found() if image.image_id == 2)
    boxes = second.candidates.detections
    kept, labels = said.judge(2, boxes, np.zeros(len(boxes), bool))
    assert (kept.tolist(), labels.tolist()) == ([True], [CLASSES.index("catfish")])


def test_decisions_are_kept_exported_and_read_again(page, folder, tmp_path):
    expected = decide_all(page)
    wanted = {"schema": 1, "model": "any-any-000000000000", "min_score": 0.5, "images": expected}
    assert saved(page, "export", "review-*.json", tmp_path) == wanted
    read_by_export(folder.parent / "store", wanted, tmp_path)
    open_fresh(page, folder, "#2")
    assert place(page) == "2"
    assert text(page, "count") == "5 reviewed of"
    assert saved(page, "export", "review-*.json", tmp_path) == wanted

    page.execute_script("localStorage.clear()")
    open_fresh(page, folder)
    assert text(page, "count") == "0 reviewed of"
    exported = tmp_path / "mine.json"
    exported.write_text(json.dumps(wanted))
    field = page.find_element("id", "import")
    field.send_keys(str(exported))
    until(page, lambda: text(page, "said") == "5 images imported")
    assert text(page, "count") == "5 reviewed of"
    assert saved(page, "export", "review-*.json", tmp_path) == wanted
    press(page, "u")
    assert text(page, "count") == "0 reviewed of"

    for wrong in ({"model": "another"}, {"schema": 2}, {"images": {"1": [{"label": "cat"}]}}):
        exported.write_text(json.dumps({**wanted, **wrong}))
        field.send_keys(str(exported))
        until(page, lambda: "was not imported" in text(page, "said"))
        assert text(page, "count") == "0 reviewed of"
        press(page, "v", "v", "1")
        until(page, lambda: "box 1" in text(page, "said") or "no box" in text(page, "said"))


def test_nothing_is_asked_for_but_the_files_beside_it(page, folder):
    decide_all(page)
    asked = page.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    outside = [url for url in asked if not url.startswith((folder.as_uri(), "data:"))]
    assert outside == []
    assert page.execute_script("return window.broken") is None


def test_tasks_of_label_studio(page, folder, tmp_path):
    decide_all(page)
    open_fresh(page, folder)  # pages that were not looked at since are read for it
    tasks = saved(page, "tasks", "label-studio-*.json", tmp_path)
    assert [task["data"]["image"] for task in tasks] == [
        "a.png", "b.png", "c.png", next(name for name in FOUND if name[0] == "d"), "f.png",
    ]  # fmt: skip
    results = [[one["value"] for one in task["annotations"][0]["result"]] for task in tasks]
    assert [[v["rectanglelabels"] for v in one] for one in results] == [
        [["cat"], ["dog"]], [["catfish"]], [], [["dog"]], [],
    ]  # fmt: skip
    dog = results[0][1]  # 16 of 64, 12 of 48 and so on
    assert {k: dog[k] for k in ("x", "y", "width", "height")} == {
        "x": 25, "y": 25, "width": 50, "height": 50,
    }  # fmt: skip
    first = tasks[0]["annotations"][0]["result"][0]
    assert (first["original_width"], first["original_height"]) == (64, 48)


def test_pictures_boxes_and_heat(page):
    picture = "return [...document.querySelectorAll('.stage img')].map(i => i.naturalWidth)"
    assert page.execute_script(picture) == [64]
    assert len(page.find_elements("css selector", ".stage rect.line")) == 2
    assert len(page.find_elements("css selector", ".stage rect.other")) == 2
    assert [tag.text for tag in page.find_elements("css selector", ".tag")] == [
        "1 cat 0.90", "2 dog 0.80",
    ]  # fmt: skip
    press(page, "h")
    until(page, lambda: page.execute_script(picture) == [64, 6])
    assert text(page, "said") == "heat map of cat"
    press(page, "h", "h")
    assert page.execute_script(picture) == [64]
    press(page, "v", "p")
    assert page.find_elements("css selector", ".stage rect, .stage path, .tag") == []
    boxes = page.find_element("id", "show-boxes")
    boxes.click()
    page.find_elements("css selector", ".stage rect.area")[-1].click()
    assert text(page, "said") == "box 2, dog 0.80"


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_is_never_wider_than_the_screen(page, folder, width):
    look(page, width)
    open_fresh(page, folder, "#4")
    page.execute_script("document.getElementById('files').open = true")
    assert page.execute_script("return document.documentElement.scrollWidth") == width
    assert page.execute_script(BEYOND) == []
    outside = """
        return [...document.querySelectorAll('button, summary')].filter(e =>
            e.offsetParent && !e.closest('.strip') && e.getBoundingClientRect().left < 0
        ).length"""
    assert page.execute_script(outside) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(page, scheme):
    look(page, 1280, scheme)
    assert page.execute_script(LOW_CONTRAST) == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_nothing_stands_in_the_way(page, width, scheme):
    look(page, width, scheme)
    assert barriers(page) == []
    page.execute_script("document.getElementById('files').open = true")
    press(page, "a", "h")  # with decisions and heat
    assert barriers(page) == []
    for dialog, key in (("change", "c"), ("keys", "?")):
        press(page, Keys.ARROW_LEFT, "1", key)
        until(page, page.find_element("id", dialog).is_displayed)
        assert barriers(page) == []
        press(page, Keys.ESCAPE)


def test_everything_that_can_be_pressed_has_a_name_and_shows_its_focus(page):
    kinds = "button, summary, select, input, [role=progressbar]"
    assert unnamed(page, f":is({kinds}):not(dialog *)", 20) == []
    for _ in range(4):
        press(page, Keys.TAB)
        style = "return getComputedStyle(document.activeElement).outlineStyle"
        assert page.execute_script(style) == "solid", page.switch_to.active_element.tag_name
    press(page, "c")  # what is behind a dialog has no name then
    assert unnamed(page, "dialog[open], dialog[open] :is(input, button, ul, li)", 8) == []
    motion = {"name": "prefers-reduced-motion", "value": "reduce"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [motion]})
    moves = "return getComputedStyle(document.querySelector('.done i')).transitionDuration"
    assert page.execute_script(moves) == "0s"


def unnamed(browser: Chrome, selector: str, least: int) -> list[str]:
    """Elements that a screen reader has no name for, of at least so many that are shown."""
    shown = [e for e in browser.find_elements("css selector", selector) if e.is_displayed()]
    assert len(shown) >= least
    return [e.get_attribute("outerHTML")[:80] for e in shown if not e.accessible_name]


def test_touch(page, folder):
    look(page, 390)
    open_fresh(page, folder)

    def touch(kind: str, *points: tuple[int, int]) -> None:
        shown = [{"x": x, "y": y} for x, y in points]
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": shown})

    corner = page.execute_script("return document.getElementById('stage').getBoundingClientRect()")
    y = int(corner["top"]) + 20
    touch("touchStart", (300, y))
    touch("touchMove", (150, y))
    touch("touchEnd")
    until(page, lambda: place(page) == "2")
    page.find_element("css selector", ".boxes .reject").click()
    assert text(page, "said") == "cat: rejected"
    page.find_element("id", "undo").click()
    assert text(page, "said") == "undone"


def test_a_page_that_is_lost_is_said(chrome, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "pages/1.js").unlink()
    open_fresh(chrome, copy)
    chrome.execute_script(
        "wsolReview; document.getElementById('page').value = 1;"
        "document.getElementById('page').dispatchEvent(new Event('change'))"
    )
    until(chrome, lambda: "pages/1.js cannot be read" in text(chrome, "said"))
    chrome.get_log("browser")  # the browser says so, too
