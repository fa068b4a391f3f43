"""Beam search on small grids whose scores are tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.methods.bency.beam_search import (
    NO_REGION,
    Expand,
    Expansion,
    Level,
    Regions,
    Tracks,
    beam_search,
    children_of,
    numbered,
)

Box = tuple[float, float, float, float]


def table(scores: Mapping[Box, list[float]], asked: list[Box] | None = None) -> Expand:
    """Children a position smaller, with the scores of a table whatever the image."""

    def expand(regions: Regions) -> Expansion:
        if asked is not None:
            asked.extend(tuple(row[1:]) for row in regions.tolist())
        found, child = numbered(*children_of(regions, np.ones((len(regions), 2))))
        values = np.array([scores[tuple(row[1:])] for row in found.tolist()], np.float32)
        return Expansion(found, child, values[child] if len(found) else np.zeros((*child.shape, 0)))

    return expand


def search(
    expand: Expand, size: tuple[int, int], width: int, levels: int, classes: int = 1
) -> list[Level]:
    """All classes of one image of w x h positions whose root scores 0."""
    root = np.array([[0.0, 0, 0, *size]])
    tracks = Tracks.of([0] * classes, range(classes))
    return beam_search(expand, root, np.zeros((1, classes), np.float32), tracks, width, levels)


def kept(levels: list[Level], track: int = 0) -> list[list[tuple[Box, float]]]:
    """The regions of one track with their scores, level by level."""
    return [
        [
            (tuple(box), score)
            for box, score in zip(
                level.boxes[track].tolist(), level.scores[track].tolist(), strict=True
            )
            if score != NO_REGION
        ]
        for level in levels
    ]


# Three positions in a row. The best pair does not hold the best single position.
ROW: dict[Box, list[float]] = {
    (0, 0, 2, 1): [5], (1, 0, 3, 1): [4],
    (0, 0, 1, 1): [1], (1, 0, 2, 1): [2], (2, 0, 3, 1): [9],
}  # fmt: skip


def test_children_are_one_step_smaller_in_width_or_height() -> None:
    children, exists = children_of(np.array([[7.0, 1, 2, 4, 6]]), np.array([[1.0, 0.5]]))
    assert children[0].tolist() == [
        [7, 1, 2, 3, 6], [7, 2, 2, 4, 6], [7, 1, 2, 4, 5.5], [7, 1, 2.5, 4, 6],
    ]  # fmt: skip
    assert exists.all()


def test_a_child_has_width_and_height() -> None:
    _, exists = children_of(np.array([[0.0, 3, 0, 4, 2], [0, 3, 1, 4, 2]]), np.ones((2, 2)))
    assert exists.tolist() == [[False, False, True, True], [False] * 4]


def test_equal_children_get_one_number() -> None:
    """Left then top, or top then left: the same region, to the bit, of fractions too."""
    whole = np.array([[0.0, 0, 0, 7, 7]])
    level, steps = whole, 1 / 7
    for _ in range(6):
        sides = level[:, 3:] - level[:, 1:3]
        level, _ = numbered(*children_of(level, sides * steps))
    # Cuts of an axis matter in their order: of n cuts i of the width, 2^i 2^(n - i) regions.
    assert len(level) == 7 * 2**6


def test_a_beam_finds_what_a_greedy_search_misses() -> None:
    greedy = kept(search(table(ROW), (3, 1), width=1, levels=2))
    assert greedy == [[((0, 0, 3, 1), 0)], [((0, 0, 2, 1), 5)], [((1, 0, 2, 1), 2)]]
    beam = kept(search(table(ROW), (3, 1), width=2, levels=2))
    assert beam[1] == [((0, 0, 2, 1), 5), ((1, 0, 3, 1), 4)]
    # The middle position is a child of both, and counts once.
    assert beam[2] == [((2, 0, 3, 1), 9), ((1, 0, 2, 1), 2)]


def test_the_search_ends_where_nothing_has_children() -> None:
    levels = search(table(ROW), (3, 1), width=8, levels=10)
    assert [len(level) for level in kept(levels)] == [1, 2, 3]
    assert len(search(table(ROW), (1, 1), width=8, levels=10)) == 1
    assert len(search(table(ROW), (3, 1), width=8, levels=0)) == 1


def test_of_equal_scores_the_first_from_the_left_and_top_is_kept() -> None:
    same: dict[Box, list[float]] = {
        (x0, y0, x1, y1): [1.0]
        for x0 in range(3) for x1 in range(x0 + 1, 4)
        for y0 in range(3) for y1 in range(y0 + 1, 4)
    }  # fmt: skip
    levels = kept(search(table(same), (3, 3), width=3, levels=2))
    assert [box for box, _ in levels[1]] == [(0, 0, 2, 3), (0, 0, 3, 2), (0, 1, 3, 3)]
    assert [box for box, _ in levels[2]] == [(0, 0, 1, 3), (0, 0, 2, 2), (0, 0, 3, 1)]


def test_a_child_of_two_parents_has_the_better_of_their_scores() -> None:
    def expand(asked: Regions) -> Expansion:
        found, child = numbered(*children_of(asked, np.ones((len(asked), 2))))
        # The right child of the left pair is the left child of the right one.
        scores = np.array([[1, 6, 0, 0], [3, 5, 0, 0]]) if len(asked) == 2 else np.zeros((1, 4))
        return Expansion(found, child, scores[..., None].astype(np.float32))

    levels = search(expand, (3, 1), width=3, levels=2)
    assert [box for box, _ in kept(levels)[1]] == [(0, 0, 2, 1), (1, 0, 3, 1)]
    assert kept(levels)[2] == [((1, 0, 2, 1), 6), ((2, 0, 3, 1), 5), ((0, 0, 1, 1), 1)]


def test_a_track_with_fewer_regions_than_others_is_filled_up() -> None:
    """Images of different sizes: one is through while the other goes on."""
    roots = np.array([[0.0, 0, 0, 1, 1], [1, 0, 0, 2, 1]])
    scores = {(0.0, 0.0, 1.0, 1.0): [2.0], (1.0, 0.0, 2.0, 1.0): [3.0]}
    tracks = Tracks.of([0, 1], [0, 0])
    levels = beam_search(table(scores), roots, np.zeros((2, 1), np.float32), tracks, 4, 3)
    assert [len(level) for level in kept(levels, 0)] == [1, 0]
    assert kept(levels, 1)[1] == [((1, 0, 2, 1), 3), ((0, 0, 1, 1), 2)]


def test_without_tracks_there_is_nothing_to_find() -> None:
    root = np.array([[0.0, 0, 0, 3, 1]])
    levels = beam_search(table(ROW), root, np.zeros((1, 1), np.float32), Tracks.of([], []), 2, 2)
    assert [level.boxes.shape[0] for level in levels] == [0] * len(levels)


def by_hand(scores: Mapping[Box, list[float]], size: tuple[int, int], width: int, label: int):
    """The search written down plainly."""
    beam, levels = [(0.0, 0.0, float(size[0]), float(size[1]))], []
    while beam:
        children = set()
        for x0, y0, x1, y1 in beam:
            if x1 - x0 > 1:
                children |= {(x0, y0, x1 - 1, y1), (x0 + 1, y0, x1, y1)}
            if y1 - y0 > 1:
                children |= {(x0, y0, x1, y1 - 1), (x0, y0 + 1, x1, y1)}
        beam = sorted(children, key=lambda box: (-scores[box][label], box))[:width]
        levels.append([(box, scores[box][label]) for box in beam])
    return levels[:-1]


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    width=st.integers(1, 5),
    classes=st.integers(1, 4),
    seed=st.integers(0, 1000),
    distinct=st.sampled_from([2, 1000]),
)
def test_many_searches_at_once_are_the_single_ones(
    size: tuple[int, int], width: int, classes: int, seed: int, distinct: int
) -> None:
    rng = np.random.default_rng(seed)
    scores: dict[Box, list[float]] = {
        (x0, y0, x1, y1): rng.integers(distinct, size=classes).tolist()
        for x0 in range(size[0]) for x1 in range(x0 + 1, size[0] + 1)
        for y0 in range(size[1]) for y1 in range(y0 + 1, size[1] + 1)
    }  # fmt: skip
    asked: list[Box] = []
    levels = search(table(scores, asked), size, width, levels=9, classes=classes)
    assert len(asked) == len(set(asked))
    for label in range(classes):
        assert kept(levels, label)[1:] == by_hand(scores, size, width, label)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_the_order_of_tracks_changes_nothing(order: list[int]) -> None:
    rng = np.random.default_rng(0)
    scores = {box: rng.random(3).tolist() for box in ROW}
    root = np.array([[0.0, 0, 0, 3, 1]])
    alone = search(table(scores), (3, 1), 2, 2, classes=3)
    tracks = Tracks.of([0] * 3, order)
    levels = beam_search(table(scores), root, np.zeros((1, 3), np.float32), tracks, 2, 2)
    assert [kept(levels, i) for i in range(3)] == [kept(alone, label) for label in order]
