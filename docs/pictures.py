"""Make the README's pictures again from a finished `make demo`: `make pictures`.

Needs Chromium and its driver (Debian: chromium, chromium-driver).
"""

from __future__ import annotations

import io
import itertools
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from orchestrator.config.places import restored
from orchestrator.config.settings import load_settings
from orchestrator.config.workspace import Workspace
from orchestrator.serve import page
from orchestrator.serve.serve import running
from workloads.artifacts import read_json
from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digit_scenes import draw
from workloads.images.drawing import contact_sheet
from workloads.shards.shards import Shards

IMAGES = Path(__file__).parent / "images"
SECTION = "pictures"
MODEL = "wsol-digits@champion"
WIDTH = 1100
SAMPLES = Path(page.__file__).parent / "samples"
SAMPLE_SCENES = (19, 17, 8)  # of the split test; several digits in each


def draw_samples() -> None:
    """The pictures that the endpoint's page offers to try."""
    options = DigitsOptions(sizes=((80, 96), (80, 80)))
    SAMPLES.mkdir(exist_ok=True)
    for number, scene in enumerate(SAMPLE_SCENES, 1):
        with Image.open(io.BytesIO(draw(options, "test", scene).image)) as picture:
            picture.save(SAMPLES / f"{number}.png", optimize=True)


def draw_digits(shards: Shards) -> None:
    """The first training images with their ground truth."""
    records = list(itertools.islice(shards.records("train"), 20))
    sheet = contact_sheet(records, shards.classes, columns=10, side=160)
    sheet.save(IMAGES / "digits.png", optimize=True)


@contextmanager
def browsing() -> Iterator[webdriver.Chrome]:
    """A browser without a window, as wide as the pictures."""
    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory() as profile:
        for argument in (
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            f"--user-data-dir={profile}",
            f"--window-size={WIDTH},2400",
        ):
            options.add_argument(argument)
        browser = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
        try:
            yield browser
        finally:
            browser.quit()


def keep(browser: webdriver.Chrome, name: str, height: int) -> None:
    """What the browser shows, down to a height."""
    with Image.open(io.BytesIO(browser.get_screenshot_as_png())) as picture:
        part = picture.convert("RGB").crop((0, 0, WIDTH, height))
        part.save(IMAGES / name, optimize=True)


def photograph_report(report: Path) -> None:
    """The report's section with maps and boxes."""
    with browsing() as browser:
        browser.get(report.resolve().as_uri())
        place = browser.find_element(By.ID, SECTION).rect
        browser.execute_script("window.scrollTo(0, arguments[0])", place["y"])
        keep(browser, "report.png", 1150)


def photograph_page(url: str) -> None:
    """The endpoint's page with all samples asked about, and the heat of the first one."""
    metrics = {"width": WIDTH, "height": 790, "deviceScaleFactor": 1, "mobile": False}
    done = "#history button:not(.waiting):not(.working)"
    with browsing() as browser:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(url)
        wait = WebDriverWait(browser, 30)
        for count, sample in enumerate(browser.find_elements(By.CSS_SELECTOR, "[data-sample]"), 1):
            sample.click()
            wait.until(lambda b, n=count: len(b.find_elements(By.CSS_SELECTOR, done)) == n)
        browser.find_element(By.CSS_SELECTOR, done).click()
        browser.find_element(By.ID, "show-heat").click()
        wait.until(lambda b: b.find_element(By.ID, "opacity").is_displayed())
        browser.execute_script("document.activeElement.blur()")
        keep(browser, "page.png", 790)


def main() -> None:
    """All pictures, from the pipeline of the settings."""
    settings = load_settings()
    paths = Workspace(settings.workspace).pipeline(settings.pipeline.name)
    if not paths.report.exists():
        sys.exit(f"{paths.report}: not there yet; run make demo first")
    record = restored(read_json(paths.stage("ingest")), paths.place)
    shards = Shards.open(Path(record["output"]["folder"]))
    IMAGES.mkdir(exist_ok=True)
    draw_samples()
    draw_digits(shards)
    photograph_report(paths.report)
    with running(settings, MODEL, settings.serve) as url:
        photograph_page(url)


if __name__ == "__main__":
    main()
