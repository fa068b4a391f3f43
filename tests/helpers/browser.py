"""A real browser without a window, that talks to nobody but this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
IS_THERE = CHROMIUM.exists() and DRIVER.exists()
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
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def browsing(folder: Path) -> Iterator[Chrome]:
    """A browser with its files in a folder; what pages write to the console is kept."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def look(browser: Chrome, width: int, scheme: str = "light") -> None:
    """As a screen of this width shows the page; a window cannot be made that narrow."""
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def barriers(browser: Chrome) -> list[str]:
    """Serious and critical findings of axe-core on the page as it is now, one line each."""
    if not browser.execute_script("return 'axe' in window"):
        browser.execute_script(_axe())
    found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}: {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@cache
def _axe() -> str:
    return (resources.files("selenium_axe_python") / "axe-core/axe.min.js").read_text("utf-8")


BEYOND = """
    return [...document.querySelectorAll('body *')].filter(e =>
        e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .pic, .strip, pre')
    ).map(e => e.outerHTML.slice(0, 80))"""
"""Elements that are wider than the screen."""

LOW_CONTRAST = """
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
"""Texts that do not stand out from the page."""
