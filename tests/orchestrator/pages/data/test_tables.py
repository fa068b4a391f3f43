"""Tables of shards: facts by split, classes by size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from orchestrator.pages.data.tables import Cell, class_tables, fact_rows
from workloads.shards.statistics import (
    BoxStatistics,
    ClassStatistics,
    Histogram,
    ImageStatistics,
    Inspection,
    SplitStatistics,
    Spread,
)

NOTHING = Histogram((0.0, 1.0), (0,))
IMAGES = ImageStatistics(Spread(30, 1234.5, 4000), Spread(1, 2, 3), 0.125, 1200, 0, 0, 0)
BOXES = BoxStatistics(8, 1.6, 1000, 0.25, 0.0, 0, 4, 3, 1, NOTHING, NOTHING)


def split_of(name: str, images: Sequence[int] = (1,)) -> SplitStatistics:
    classes = tuple(ClassStatistics(f"c{k}", n, 0, 2 * n) for k, n in enumerate(images))
    return SplitStatistics(name, 1234, 5, 0, IMAGES, BOXES, classes, None, ())


def cells(split: SplitStatistics) -> dict[str, str]:
    return {row.title: str(row.cells[0]) for row in fact_rows([split])}


def inspection(*splits: SplitStatistics) -> Inspection:
    return Inspection("made", "multilabel", tuple(c.name for c in splits[0].classes), splits)


def test_a_cell_says_more_in_brackets() -> None:
    assert str(Cell("5")) == "5"
    assert str(Cell("5", "at most 7")) == "5 (at most 7)"


def test_facts_by_hand() -> None:
    found = cells(split_of("train"))
    assert found["Listed"] == "1,234"
    assert found["Width"] == "1,234.5 (30 to 4,000)"
    assert found["Height"] == "2 (1 to 3)"
    assert found["Portrait"] == "12.5 %"
    assert found["Without labels"] == "1,200"
    assert found["Boxes per image"] == "1.60 (at most 1,000)"
    assert found["Small boxes"] == "50.0 % (4)"
    assert found["Large boxes"] == "12.5 % (1)"
    assert found["Quarantined"] == "0"  # said even so


RARE = {"With mask", "Blacklisted", "Truncated boxes", "Crowds"}


def test_facts_that_few_data_sets_have_are_shown_where_one_split_has_them() -> None:
    plain = split_of("train")
    assert not RARE & set(cells(plain))
    masked = replace(plain, split="val", images=replace(IMAGES, with_mask=1))
    rows = {row.title: row for row in fact_rows([plain, masked])}
    assert RARE & set(rows) == {"With mask"}
    assert [str(cell) for cell in rows["With mask"].cells] == ["0", "1"]
    assert "Truncated boxes" in cells(replace(plain, boxes=replace(BOXES, truncated=0.5)))


def test_a_split_without_images_has_dashes_and_no_division() -> None:
    images = ImageStatistics(None, None, None, 0, 0, 0, 0)
    boxes = BoxStatistics(0, None, 0, None, None, 0, 0, 0, 0, NOTHING, NOTHING)
    found = cells(replace(split_of("train"), images=images, boxes=boxes))
    dashes = {title for title, text in found.items() if text == "–"}
    assert dashes == {
        "Width", "Height", "Portrait", "Boxes per image", "Difficult boxes",
        "Small boxes", "Medium boxes", "Large boxes",
    }  # fmt: skip


def test_no_splits_are_rows_without_cells() -> None:
    assert all(row.cells == () for row in fact_rows([]))


def test_all_classes_as_long_as_they_are_few() -> None:
    found = inspection(split_of("train", (1, 4, 0)), split_of("val", (0, 0, 0)))
    (table,) = class_tables(found, most=3, ends=1)
    assert table.title == "All classes"
    assert [name for name, _ in table.rows] == ["c0", "c1", "c2"]
    train = [of_split[0] for _, of_split in table.rows]
    assert [(cell.images, cell.boxes, cell.width) for cell in train] == [
        (1, 2, 25.0), (4, 8, 100.0), (0, 0, 0.0),
    ]  # fmt: skip
    assert [of_split[1].width for _, of_split in table.rows] == [0.0, 0.0, 0.0]


def test_of_many_classes_both_ends_over_all_splits() -> None:
    found = inspection(split_of("train", (1, 5, 5, 0)), split_of("val", (9, 0, 0, 0)))
    most, fewest = class_tables(found, most=3, ends=2)
    assert most.title == "The 2 classes with most images"
    assert [name for name, _ in most.rows] == ["c0", "c1"]  # 10, then the first of two with 5
    assert fewest.title == "The 2 with fewest"
    assert [name for name, _ in fewest.rows] == ["c2", "c3"]


@pytest.mark.parametrize("count", [3, 4])
def test_the_limit_itself_is_few(count: int) -> None:
    assert len(class_tables(inspection(split_of("train", (1,) * count)), 3, 1)) == count - 2
