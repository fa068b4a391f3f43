"""Numbers as people read them, and templates that escape."""

from __future__ import annotations

import jinja2
import pytest

from orchestrator.pages.base import TASKS, counted, percent, template
from workloads.records import Task


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 boxes"), (1, "1 box"), (2, "2 boxes"), (1234567, "1,234,567 boxes")],
)
def test_numbers_with_their_noun(number: int, text: str) -> None:
    assert counted(number, "box", "boxes") == text


def test_percent_of_other_decimals() -> None:
    assert percent(0.12345, 3) == "12.345"
    assert percent(0.5, 0) == "50"
    assert percent(-0.25) == "-25.0"
    assert percent(None, 3) == "–"


def test_every_task_has_words() -> None:
    assert set(TASKS) == set(Task.__args__)


@pytest.mark.parametrize(
    "name", ["data/data.html.j2", "pipeline/report.html.j2", "review/review.html.j2"]
)
def test_a_page_without_its_values_is_an_error(name: str) -> None:
    with pytest.raises(jinja2.UndefinedError):
        template(name).render()


def test_values_are_text_and_filters_are_known() -> None:
    page = template("data/data.html.j2").environment.from_string(
        "{{ name }} {{ 0.5 | percent }} {{ 1 | counted('box', 'boxes') }}"
    )
    assert page.render(name='<b a="x">&') == "&lt;b a=&#34;x&#34;&gt;&amp; 50.0 1 box"


def test_there_is_no_such_template() -> None:
    with pytest.raises(jinja2.TemplateNotFound):
        template("../settings.py")
