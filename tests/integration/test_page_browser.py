"""The endpoint's page in a real browser: pictures, sliders, models, keys, keyboard, phone, dark."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from browser import BEYOND, IS_THERE, LOW_CONTRAST, barriers, browsing, look
from page_server import PageHost, page_endpoint
from PIL import Image
from samples import CLASSES, make_model, picture
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from orchestrator.serve.api.guard.keys import new_key
from orchestrator.serve.api.host import Ask
from workloads.annotation.options import Kept
from workloads.images.decode import ImageLimits, decode
from workloads.models.localizer import Localizer
from workloads.models.model import Model

pytestmark = pytest.mark.skipif(not IS_THERE, reason="needs chromium and its driver")

FIXED = {"mean": {"threshold": "mean"}, "regions": {"box_rule": "regions"}}
"""Models whose cut-off cannot be moved in the browser."""

Box = tuple[str, float, list[int]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = tmp_path_factory.mktemp("models")
    made = [make_model(place / name, seed) for seed, name in enumerate(("first", "other"))]
    fixed = [Model.open(made[0]).retuned(place / name, FIXED[name]).folder for name in FIXED]
    return [*made, *fixed]


@pytest.fixture(scope="module")
def models(folders: list[Path]) -> dict[str, Localizer]:
    return {folder.name: Localizer.load(folder) for folder in folders}


@pytest.fixture(scope="module")
def endpoint(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageHost]:
    with page_endpoint(tmp_path_factory.mktemp("endpoint"), folders) as host:
        host.roster.refuse("other", "version 3: it finds nothing")
        yield host


@pytest.fixture(scope="module")
def locked(folders: list[Path], tmp_path_factory) -> Iterator[tuple[str, str]]:
    """The address of an endpoint that asks for a key, and the key."""
    place = tmp_path_factory.mktemp("locked")
    key, entry = new_key("somebody")
    (place / "keys.yaml").write_text(json.dumps([entry.model_dump()]))
    with page_endpoint(place, folders[:1], place / "keys.yaml") as host:
        yield host.url, key


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def page(chrome: Chrome, endpoint: PageHost, tmp_path: Path) -> Iterator[Chrome]:
    """The page before its first picture; it must not have complained in the end."""
    endpoint.asked.clear()
    endpoint.busy = 0
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chrome.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    look(chrome, 1280)
    chrome.get(endpoint.url)
    chrome.execute_script("sessionStorage.clear()")
    until(chrome, lambda: text(chrome, "about-model") != "")
    yield chrome
    assert complaints(chrome) == []


def complaints(browser: Chrome) -> list[str]:
    """What the page wrote to the console, but for answers that are errors: those are meant."""
    lines = [entry["message"] for entry in browser.get_log("browser")]
    return [line for line in lines if "the server responded with a status of" not in line]


def until(browser: Chrome, holds: Callable[[], Any]) -> Any:
    return WebDriverWait(browser, 10, poll_frequency=0.02).until(lambda _: holds())


def text(browser: Chrome, element: str) -> str:
    script = "return document.getElementById(arguments[0]).textContent"
    return str(browser.execute_script(script, element))


def boxes_shown(browser: Chrome) -> list[Box]:
    """Class, score and corners of the table's rows."""
    rows = browser.execute_script(
        "return [...document.getElementById('boxes').rows].map(row =>"
        "[...row.cells].map(cell => cell.textContent))"
    )
    return [(name, float(score), [int(side) for side in box]) for name, score, *box in rows]


def choose(browser: Chrome, *paths: Path) -> None:
    browser.find_element("id", "choose").send_keys("\n".join(map(str, paths)))


def made_file(folder: Path, seed: int, name: str | None = None) -> Path:
    path = folder / (name or f"photo {seed}.jpg")
    path.write_bytes(picture(seed))
    return path


def answered(browser: Chrome, pictures: int = 1) -> None:
    """Wait until all pictures of the session have an answer or an error."""

    def done() -> bool:
        shown = browser.find_elements("css selector", "#history button")
        waiting = browser.find_elements("css selector", "#history :is(.waiting, .working)")
        return len(shown) == pictures and not waiting

    until(browser, done)


def slide(browser: Chrome, slider: str, value: float) -> None:
    browser.execute_script(
        "const slider = document.getElementById(arguments[0]); slider.value = arguments[1];"
        "slider.dispatchEvent(new Event('input'))",
        slider,
        value,
    )
    # What a slider changes is shown with the next frame.
    browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
    )


def expected(model: Localizer, data: bytes, *, recut: bool = True, **cutoffs: float) -> list[Box]:
    """Boxes by Python at other cut-offs, as the table writes them."""
    image = decode(data, ImageLimits())
    kept = Kept()  # an answer holds as many classes as an annotation
    (found,) = model.candidates(
        [image], floor=kept.min_score, most=kept.classes_per_image, keep_maps=True
    )
    chosen = model.card.cutoffs.model_copy(update=cutoffs)
    boxes = (found.recut(chosen) if recut else found).detections_at(chosen.score_threshold)
    columns = (boxes.labels.tolist(), boxes.scores.tolist(), boxes.boxes_xyxy.tolist())
    return [
        (CLASSES[label], pytest.approx(score, abs=0.006), [round(side) for side in box])
        for label, score, box in zip(*columns, strict=True)
    ][:50]  # more are not listed


def test_a_chosen_file_is_sent_as_it_is(page, endpoint, models, tmp_path):
    path = made_file(tmp_path, 1)
    choose(page, path)
    answered(page)
    assert endpoint.asked == [("first", Ask(maps=True), path.read_bytes())]
    assert boxes_shown(page) == expected(models["first"], path.read_bytes())
    assert text(page, "name") == "photo 1.jpg"
    label = page.find_element("id", "canvas").get_attribute("aria-label")
    assert label.startswith(f"photo 1.jpg: {text(page, 'said')}, ")
    painted = """
        const canvas = document.getElementById('canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(new Uint32Array(data.buffer)).size"""
    assert page.execute_script(painted) > 1000


def test_sliders_change_boxes_without_a_request(page, endpoint, models, tmp_path):
    data = made_file(tmp_path, 2).read_bytes()
    choose(page, tmp_path / "photo 2.jpg")
    answered(page)
    own = boxes_shown(page)
    model = models["first"]
    assert own == expected(model, data)
    for cutoff in (0.2, 0.55, 0.9):
        slide(page, "cutoff", cutoff)
        assert boxes_shown(page) == expected(model, data, cutoff=cutoff)
        assert boxes_shown(page) != own
    slide(page, "score", 0)
    assert boxes_shown(page) == expected(model, data, cutoff=0.9, score_threshold=0)
    slide(page, "score", 1)
    assert boxes_shown(page) == []
    assert text(page, "said") == "0 boxes, 0 classes"
    page.find_element("id", "reset").click()
    until(page, lambda: boxes_shown(page) == own)
    assert len(endpoint.asked) == 1


def test_the_boxes_at_the_models_own_values_are_the_endpoints(page, endpoint):
    """Found here, from maps with 16 bits a pixel: half a pixel of a map may decide otherwise."""
    for seed in range(8):
        answer = httpx.post(
            f"{endpoint.url}/v1/detect?return=boxes,points,map",
            content=picture(seed),
            headers={"Content-Type": "image/jpeg"},
            trust_env=False,
        ).json()
        here = page.execute_async_script(
            """
            const [answer, done] = arguments;
            Promise.all(["maps", "boxes"].map((name) => import(`/page/${name}.js`))).then(
                ([maps, boxes]) => {
                    const { width, height, maps: { cutoffs, classes } } = answer;
                    const cut = classes.map((one) => ({ ...one, cut: maps.mapsToCut(
                        one.scales.map(maps.unpacked), width, height, cutoffs) }));
                    done(boxes.locate(cut, width, height, cutoffs));
                });""",
            answer,
        )
        there = answer["detections"]
        assert [one["label"] for one in here] == [one["label"] for one in there]
        for found, wanted in zip(here, there, strict=True):
            np.testing.assert_allclose(found["box"], wanted["box"], atol=1)
            np.testing.assert_allclose(found["score"], wanted["score"], atol=1e-4)


def test_samples_paste_drop_and_history(page, endpoint, tmp_path):
    page.find_element("css selector", "[data-sample='2']").click()
    answered(page)
    drop = """
        const [data, kind] = arguments;
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], `${kind}.jpg`, { type: "image/jpeg" }));
        const options = { bubbles: true, cancelable: true };
        const event = kind === "paste"
            ? new ClipboardEvent("paste", { ...options, clipboardData: transfer })
            : new DragEvent("drop", { ...options, dataTransfer: transfer });
        document.getElementById("stage").dispatchEvent(event);"""
    for seed, kind in enumerate(("paste", "drop"), 1):
        page.execute_script(drop, base64.b64encode(picture(seed)).decode(), kind)
        answered(page, seed + 1)
        assert text(page, "name") == f"{kind}.jpg"
        assert endpoint.asked[-1][2] == picture(seed)
    last = boxes_shown(page)
    press(page, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert text(page, "name") == "sample-2.png"
    thumbs = page.find_elements("css selector", "#history button")
    assert [one.get_attribute("aria-current") for one in thumbs] == ["true", None, None]
    thumbs[2].send_keys(Keys.ENTER)
    assert boxes_shown(page) == last
    thumbs = page.find_elements("css selector", "#history button")
    assert page.switch_to.active_element == thumbs[2]
    assert len(endpoint.asked) == 3  # seen again, and not asked again
    choose(page, made_file(tmp_path, 4), made_file(tmp_path, 5))
    answered(page, 5)
    assert text(page, "name") == "photo 4.jpg"


def press(browser: Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def test_another_model_and_one_class_alone(page, endpoint, models, tmp_path):
    data = made_file(tmp_path, 3).read_bytes()
    choose(page, tmp_path / "photo 3.jpg")
    answered(page)
    chooser = Select(page.find_element("id", "model"))
    assert [one.text for one in chooser.options][:2] == ["first", "other · idle"]
    slide(page, "cutoff", 0.8)
    chooser.select_by_visible_text("other · idle")
    answered(page)
    until(page, lambda: len(endpoint.asked) == 2)
    answered(page)
    assert "refused: version 3: it finds nothing" in text(page, "about-model")
    assert boxes_shown(page) == expected(models["other"], data)
    chooser.select_by_visible_text("first")
    assert boxes_shown(page) == expected(models["first"], data)
    assert len(endpoint.asked) == 2

    everything = boxes_shown(page)
    names = {name for name, _, _ in everything}
    assert len(names) > 1
    page.find_element("css selector", "#classes button").click()
    alone = page.find_element("css selector", "#classes [aria-pressed=true] .label").text
    assert boxes_shown(page) == [one for one in everything if one[0] == alone]
    press(page, Keys.ESCAPE)
    assert boxes_shown(page) == everything


@pytest.mark.parametrize(("name", "reason"), [("mean", "own mean"), ("regions", "proposals")])
def test_a_cut_off_that_cannot_be_moved_says_why(page, endpoint, models, tmp_path, name, reason):
    Select(page.find_element("id", "model")).select_by_value(name)
    choose(page, made_file(tmp_path, 1))
    answered(page)
    assert not page.find_element("id", "cutoff").is_enabled()
    assert reason in text(page, "why")
    own = boxes_shown(page)
    assert own
    assert own == expected(models[name], picture(1), recut=False)
    slide(page, "score", 0)
    assert len(boxes_shown(page)) >= len(own)
    slide(page, "score", 1)
    assert boxes_shown(page) == []
    assert len(endpoint.asked) == 1


def test_a_large_turned_photograph_is_upright_and_sent_whole(page, endpoint, tmp_path):
    pixels = np.zeros((1500, 2000, 3), np.uint8)
    pixels[:, :1000] = 250, 20, 20  # on top, once it is turned
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif)
    choose(page, tmp_path / "turned.jpg")
    answered(page)
    assert endpoint.asked[0][2] == (tmp_path / "turned.jpg").read_bytes()
    assert text(page, "facts").startswith("1500 × 2000 px")
    for layer in ("show-boxes", "show-points"):
        page.find_element("id", layer).click()
    halves = """
        const done = arguments[0], { width, height } = document.getElementById("canvas");
        const reds = () => {
            const shown = document.getElementById("canvas").getContext("2d");
            const { data } = shown.getImageData(0, 0, width, height);
            const redAt = (share) => data[4 * (Math.floor(height * share) * width + width / 2)];
            done([redAt(0.25), redAt(0.75)]);
        };
        requestAnimationFrame(() => requestAnimationFrame(reds))"""
    top, bottom = page.execute_async_script(halves)
    assert top > 200
    assert bottom < 50


def test_errors_are_those_of_the_endpoint(page, endpoint, tmp_path):
    (tmp_path / "words.png").write_text("no picture")
    choose(page, tmp_path / "words.png")
    answered(page)
    said = page.find_element("id", "error").text
    assert "Try again" in said
    assert "Not an image" in said
    assert "allowed: JPEG, PNG" in said
    assert re.search(r"request [0-9a-f]{16}", said)
    assert text(page, "said") == "words.png: failed"

    endpoint.busy = 1
    choose(page, made_file(tmp_path, 1))
    until(
        page, lambda: text(page, "said") == "too many images wait already; asked again in 1 second"
    )
    answered(page, 2)
    assert not page.find_element("id", "error").is_displayed()
    assert len(endpoint.asked) == 3
    assert boxes_shown(page)


def test_a_key_is_asked_for_and_kept_in_the_tab(page, locked, tmp_path):
    url, key = locked
    page.get(url)
    until(page, lambda: text(page, "error-message") == "No API key was given.")
    choose(page, made_file(tmp_path, 1))
    answered(page)
    field = page.switch_to.active_element
    assert field.get_attribute("id") == "key"
    field.send_keys(key, Keys.ENTER)
    until(page, lambda: boxes_shown(page))
    stored = "return [Object.values(sessionStorage), Object.values(localStorage), document.cookie]"
    assert page.execute_script(stored) == [[key], [], ""]


def test_what_is_taken_along(page, endpoint, models, tmp_path):
    origin = endpoint.url
    granted = {"origin": origin, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.execute_cdp_cmd("Browser.grantPermissions", granted)
    choose(page, made_file(tmp_path, 1, "it's.jpg"))
    answered(page)
    slide(page, "cutoff", 0.6)

    def taken(button: str) -> str:
        page.find_element("id", button).click()
        until(page, lambda: text(page, "said").startswith("copied"))
        page.execute_script("document.getElementById('said').textContent = ''")
        read = "navigator.clipboard.readText().then(arguments[0])"
        return str(page.execute_async_script(read))

    found = json.loads(taken("copy-json"))
    assert found["model"]["digest"] == models["first"].digest
    shown = [(d["class"], [round(side) for side in d["box"]]) for d in found["detections"]][:50]
    assert shown == [(name, box) for name, _, box in boxes_shown(page)]
    assert taken("copy-curl") == (
        "curl --data-binary '@it'\\''s.jpg' -H 'Content-Type: image/jpeg' "
        f"'{origin}/v1/detect?model=first&cutoff=0.6'"
    )
    page.find_element("id", "save").click()
    (path,) = until(page, lambda: list(tmp_path.glob("*-boxes.png")))
    until(page, lambda: path.stat().st_size)
    with (
        Image.open(io.BytesIO(path.read_bytes())) as saved,
        Image.open(tmp_path / "it's.jpg") as own,
    ):
        assert saved.width / saved.height == pytest.approx(own.width / own.height, rel=0.01)


def test_everything_can_be_reached_by_keyboard(page, tmp_path):
    choose(page, made_file(tmp_path, 1), made_file(tmp_path, 2))
    answered(page, 2)
    page.execute_script("document.body.focus(); window.scrollTo(0, 0)")
    reachable = "select, button:enabled, input:enabled, a, summary, [tabindex='0']"
    wanted = [e for e in page.find_elements("css selector", reachable) if e.is_displayed()]
    unnamed = [e.get_attribute("outerHTML")[:80] for e in wanted if not e.accessible_name]
    assert unnamed == []
    seen = set()
    for _ in range(len(wanted) + 3):
        press(page, Keys.TAB)
        now = page.switch_to.active_element
        outlined = """
            const e = arguments[0].closest('.file') ?? arguments[0];
            return getComputedStyle(e).outlineStyle"""
        if now.tag_name != "body":
            assert page.execute_script(outlined, now) == "solid", now.get_attribute("outerHTML")
        seen.add(now.id)
    assert [e.get_attribute("outerHTML")[:80] for e in wanted if e.id not in seen] == []
    page.find_element("id", "cutoff").send_keys(Keys.ARROW_RIGHT)
    assert text(page, "name") == "photo 1.jpg"  # an arrow on a slider moves the slider alone
    until(page, lambda: text(page, "cutoff-value") == "0.41")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light"), (320, "light")])
def test_nothing_stands_in_the_way(page, endpoint, tmp_path, width, scheme):
    """Nothing is wider than the screen, hard to read, or without a name."""
    look(page, width, scheme)

    def check() -> None:
        assert page.execute_script("return document.documentElement.scrollWidth") == width
        assert page.execute_script(BEYOND) == []
        assert page.execute_script(LOW_CONTRAST) == []
        assert barriers(page) == []

    check()
    choose(page, made_file(tmp_path, 1), made_file(tmp_path, 2, f"{'long' * 30}.jpg"))
    answered(page, 2)
    page.find_element("id", "show-heat").click()
    check()
    (tmp_path / "words.png").write_text("no picture")
    choose(page, tmp_path / "words.png")
    answered(page, 3)
    page.execute_script("document.getElementById('access').open = true")
    check()
    motion = {"name": "prefers-reduced-motion", "value": "reduce"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [motion]})
    moves = "return getComputedStyle(document.getElementById('busy')).animationName"
    assert page.execute_script(moves) == "none"


def test_a_phone_has_a_camera_and_keeps_the_picture_in_sight(page, tmp_path):
    look(page, 390)
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    assert page.find_element("css selector", ".photo").is_displayed()
    camera = page.find_element("css selector", ".photo input")
    assert camera.get_attribute("capture") == "environment"
    camera.send_keys(str(made_file(tmp_path, 1)))
    answered(page)
    page.execute_script("document.getElementById('cutoff').scrollIntoView({ block: 'end' })")
    places = page.execute_script(
        "return ['canvas', 'cutoff'].map(id => document.getElementById(id).getBoundingClientRect())"
    )
    assert places[0]["top"] >= 0
    assert places[0]["bottom"] < places[1]["top"]
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_nothing_is_asked_for_elsewhere(page, endpoint, tmp_path):
    choose(page, made_file(tmp_path, 1))
    answered(page)
    entries = page.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert [url for url in entries if not url.startswith((endpoint.url, "data:", "blob:"))] == []
