"""The pages in a real browser: nothing fails to load, nothing is wider than a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import BEYOND, IS_THERE, LOW_CONTRAST, barriers, browsing, look
from made_shards import made_record, made_truth, write_shards
from selenium.webdriver import Chrome
from synthetic_pipeline import make_pipeline

from orchestrator.config.settings import Settings
from orchestrator.data.inspect import inspect
from orchestrator.pages.pipeline.page import write_report
from workloads.shards.quarantine import Quarantined
from workloads.shards.shards import Shards

LONG = "a-recipe-with-a-name-that-is-much-longer-than-a-phone-is-wide-" + "x" * 40
WIDTHS = (320, 390, 768, 1280)

pytestmark = pytest.mark.skipif(not IS_THERE, reason="needs chromium and its driver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture(scope="module", params=["usual", "long", "data"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp(request.param)
    if request.param == "data":
        return data_page(workspace)
    images = {"train": 12, "val": 8, "test": 24}
    if request.param == "usual":
        job = make_pipeline(workspace, images=images)
    else:
        classes = [f"{name}{'y' * 60}" for name in "abcdefghij"]
        job = make_pipeline(workspace, (LONG, "b", "c", "d"), classes, images)
    write_report(job.settings, job.paths, job.outcome, job.table, job.shards)
    return job.paths.report


def data_page(workspace: Path) -> Path:
    """About shards of five splits, with long names and every kind of fact."""
    truth = made_truth((0, (2, 3, 20, 25)), (1, (0, 0, 40, 30)), box_crowd=[False, True])
    truth = replace(truth, blacklisted=True, mask=b"PNG")
    splits = [f"split-{k}" for k in range(5)]
    records = [made_record(f"{LONG}{i}", truth, split=split) for split in splits for i in range(3)]
    bad = Quarantined(LONG, f"{LONG}.jpg", splits[0], f"the file {LONG} is empty; replace it")
    classes = [f"{k}{'y' * 60}" for k in range(40)]
    shards = write_shards(workspace / "made", records, classes, quarantined=[bad])
    return inspect(Settings(), Shards.open(shards), out=workspace / "page").page


@pytest.fixture
def page(browser: Chrome, report: Path) -> Chrome:
    browser.get_log("browser")  # what an earlier page left
    browser.get(report.as_uri())
    return browser


def test_nothing_fails(page: Chrome) -> None:
    assert page.title in ("demo · wsol report", "made · wsol data")
    assert page.get_log("browser") == []
    requested = page.execute_script("return performance.getEntriesByType('resource')")
    assert [entry["name"] for entry in requested if not entry["name"].startswith("data:")] == []


def test_every_picture_is_there(page: Chrome) -> None:
    widths = page.execute_script("return [...document.images].map(i => i.naturalWidth)")
    assert len(widths) > 10
    assert min(widths) > 0


@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_never_wider_than_the_screen(page: Chrome, width: int) -> None:
    look(page, width)
    shown = page.execute_script("return document.documentElement.scrollWidth")
    assert shown == width
    assert page.execute_script(BEYOND) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(page: Chrome, scheme: str) -> None:
    look(page, 1280, scheme)
    assert page.execute_script(LOW_CONTRAST) == []
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_nothing_stands_in_the_way(page: Chrome) -> None:
    look(page, 390, "dark")
    assert barriers(page) == []
