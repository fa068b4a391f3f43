"""The co-occurrence table: which classes, which cells, which note."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pages.heat_table import TOGETHER_CLASSES, HeatTable, together


def test_few_classes_are_all_there_in_order() -> None:
    table = together(("cat", "dog"), ((1.0, 0.25), (0.5, 1.0)))
    assert table.heads == ("cat", "dog")
    assert [row.name for row in table.rows] == ["cat", "dog"]
    assert table.rows[0].cells == (None, 0.25)  # p(cat | dog)
    assert table.rows[1].cells == (0.5, None)
    assert table.rows[0].titles == ("cat where cat is", "cat where dog is")
    assert table.note == ""


def test_of_many_classes_those_that_share_most_stay() -> None:
    count = TOGETHER_CLASSES + 3
    p = [[1.0 if i == j else 0.01 for j in range(count)] for i in range(count)]
    # Class 17 is found where 18 is, and never the other way round: both share.
    p[17][18], p[18][17] = 0.9, 0.0
    table = together([f"c{k}" for k in range(count)], p)
    # Of the equal ones the first stay; 14, 15 and 16 give way.
    assert table.heads == tuple(f"c{k}" for k in (*range(14), 17, 18))
    assert table.note == "3 classes that share less are left out."
    assert table.rows[14].cells[15] == 0.9


def test_the_diagonal_says_nothing_of_what_is_shared() -> None:
    count = TOGETHER_CLASSES + 1
    p = [[0.0] * count for _ in range(count)]
    p[0][0] = 1.0  # alone, but often
    p[16][15] = 0.5
    table = together([f"c{k}" for k in range(count)], p)
    assert "c16" in table.heads
    assert "c14" not in table.heads


@given(count=st.integers(1, 40), data=st.data())
def test_it_is_square_and_only_its_diagonal_is_empty(count: int, data: st.DataObject) -> None:
    row = st.lists(st.floats(0, 1), min_size=count, max_size=count)
    p = [data.draw(row) for _ in range(count)] if count < 6 else [[0.5] * count] * count
    table = together([str(k) for k in range(count)], p)
    kept = min(count, TOGETHER_CLASSES)
    assert len(table.rows) == len(table.heads) == kept
    for index, entry in enumerate(table.rows):
        assert [at for at, cell in enumerate(entry.cells) if cell is None] == [index]
        assert len(entry.titles) == kept


@pytest.mark.parametrize(
    ("heads", "crowded"),
    [
        ((), False),
        (("a",) * 10, False),
        (("a",) * 11, True),
        (("1234567",), False),
        (("12345678",), True),
        (tuple(range(30)), False),  # positions of methods are small squares
    ],
)
def test_heads_stand_upright_where_there_is_no_room(heads: tuple, *, crowded: bool) -> None:
    assert HeatTable((), heads=heads).crowded is crowded
