"""The pages in a real browser: nothing fails to load, nothing is wider than a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_shards import made_record, made_truth, write_shards
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from synthetic_pipeline import make_pipeline

from orchestrator.config.settings import Settings
from orchestrator.data.inspect import inspect
from orchestrator.pages.pipeline.page import write_report
from workloads.shards.quarantine import Quarantined
from workloads.shards.shards import Shards

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    # A browser of its own accord talks to its maker; this one talks to nobody.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
LONG = "a-recipe-with-a-name-that-is-much-longer-than-a-phone-is-wide-" + "x" * 40
WIDTHS = (320, 390, 768, 1280)

pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="needs chromium and its driver"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


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


def look(browser: Chrome, width: int, scheme: str = "light") -> None:
    """As a screen of this width shows the page; a window cannot be made that narrow."""
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


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
    beyond = """
        return [...document.querySelectorAll('body *')].filter(e =>
            e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .pic, pre')
        ).map(e => e.outerHTML.slice(0, 80))"""
    assert page.execute_script(beyond) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(page: Chrome, scheme: str) -> None:
    look(page, 1280, scheme)
    low = """
        const luminance = css => {
            const [r, g, b] = css.match(/[\\d.]+/g).map(v => v / 255).map(
                v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
            return .2126 * r + .7152 * g + .0722 * b;
        };
        const colour = (e, name) => luminance(getComputedStyle(e)[name]);
        const page = colour(document.body, 'backgroundColor');
        const all = 'h1, p, a, dt, dd, small, td, th, figcaption, svg text';
        return [...document.querySelectorAll(all)]
            .map(e => [e, colour(e, e.tagName === 'text' ? 'fill' : 'color')])
            .map(([e, l]) => [e, (Math.max(l, page) + .05) / (Math.min(l, page) + .05)])
            .filter(([e, contrast]) => contrast < 4.5)
            .map(([e, contrast]) => `${contrast} ${e.textContent.slice(0, 40)}`)"""
    assert page.execute_script(low) == []
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
