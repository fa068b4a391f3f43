"""Rows of the papers in miniature, from made digits in their data set's layout to the numbers.

One of each paper, chosen so that together they walk every side path: object proposals to learn
from and to take boxes from, ranking by another classifier, cut-offs of each class, three scales.
`make bench` runs all of them; the largest network of these waits for `make test-long`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config.settings import Settings
from orchestrator.pipeline import smoke
from orchestrator.pipeline.reproduce import DIGITS, reproduce
from workloads.artifacts import read_json
from workloads.errors import NotFound
from workloads.models.version import read_card

ROWS = (
    "spn-t4-vgg16-authors",
    "spg-t3-resnet50",
    "saliency-t1-alexnet",
    "oquab-t2-voc-extents",
)
LARGEST = "bency-t1-vgg16"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One workspace, so that rows on one data set share its shards."""
    return Settings(workspace=tmp_path_factory.mktemp("reproduce"), cluster="inline")


@pytest.fixture(scope="module", autouse=True)
def _even_smaller() -> Iterator[None]:
    """An eighth of a miniature's images: what runs is the same."""
    with pytest.MonkeyPatch.context() as patch:
        few = smoke.SMOKE_DATA.model_copy(update={"train": 32, "val": 12, "test": 12})
        patch.setattr(smoke, "SMOKE_DATA", few)
        yield


@pytest.mark.parametrize("name", [*ROWS, pytest.param(LARGEST, marks=pytest.mark.long)])
def test_a_row_runs_from_images_to_its_numbers(settings: Settings, name: str) -> None:
    done = reproduce(settings, name, DIGITS, "smoke")
    assert not done.comparable
    assert done.lines
    for line in done.lines:
        assert line.ours is not None
        assert 0 <= line.ours <= 100
        assert line.difference == pytest.approx(line.ours - line.paper)
    written = read_json(done.folder / "reproduction.json")
    assert [line["ours"] for line in written["lines"]] == [line.ours for line in done.lines]
    card = read_card(done.folder / "train" / name / "tuned-model")
    assert (card.cutoffs.box_score == "raw_mean") == (name == LARGEST)


def test_what_the_papers_fix_is_in_the_model(settings: Settings) -> None:
    """Runs after the rows, and repeats none of their stages."""
    cards = {}
    for name in ROWS:
        done = reproduce(settings, name, DIGITS, "smoke")
        cards[name] = read_card(done.folder / "train" / name / "tuned-model")
    spn = cards["spn-t4-vgg16-authors"].cutoffs
    assert (spn.box_rule, spn.threshold, spn.nms_iou) == ("all", "mean", 0.7)
    assert cards["spg-t3-resnet50"].preprocessing.ten_crop_margin
    assert cards["saliency-t1-alexnet"].cutoffs.cutoff == 0.2
    assert cards["oquab-t2-voc-extents"].cutoffs.box_rule == "regions"
    assert cards["oquab-t2-voc-extents"].preprocessing.fit == "pad"


def test_other_data_is_another_reproduction(settings: Settings, tmp_path: Path) -> None:
    initial = {"backbone": "random"}
    with pytest.raises(NotFound, match="none"):
        reproduce(settings, "spn-t2-vgg16", str(tmp_path / "none"), initial=initial)
