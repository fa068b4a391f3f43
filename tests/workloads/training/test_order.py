"""The order of an epoch: each image once, whoever shows it and whatever happened before."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.training.order import (
    BatchPlan,
    LastBatch,
    Stretch,
    dealt,
    dealt_in_turn,
    epoch_order,
)
from workloads.training.share import Share

LAST: list[LastBatch] = ["drop", "short"]
plans = st.builds(
    BatchPlan, st.integers(0, 200), st.integers(6, 40), st.integers(1, 6), st.sampled_from(LAST)
)


def shown(count: int, past: list[Stretch], plan: BatchPlan) -> list[int]:
    """Places that all workers show after `past`."""
    parts = [
        dealt(count, past, plan, Share(rank, plan.workers))[: sum(plan.sizes(rank))]
        for rank in range(plan.workers)
    ]
    return np.concatenate(parts).tolist()


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(0, 3), st.integers(1, 30))
def test_an_epoch_shows_every_row_once(groups: list[int], epoch: int, pool: int) -> None:
    order = epoch_order(groups, 7, epoch, pool, None)
    assert sorted(order.rows.tolist()) == list(range(sum(groups)))
    assert not order.copies.any()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(0, 3))
def test_repeats_are_counted_in_their_order(times: list[int], epoch: int) -> None:
    order = epoch_order([len(times)], 7, epoch, 4, np.array(times))
    for row, count in enumerate(times):
        assert order.copies[order.rows == row].tolist() == list(range(count))


def test_the_order_is_one_of_seed_and_epoch() -> None:
    def rows(seed: int, epoch: int) -> list[int]:
        return epoch_order([50] * 4, seed, epoch, 32, None).rows.tolist()

    assert rows(1, 2) == rows(1, 2)
    assert len({tuple(rows(*of)) for of in ((1, 2), (1, 3), (2, 2))}) == 3


def test_neighbours_in_the_order_are_near_each_other_on_disk() -> None:
    """A reader holds the rows between the first and the last of a group: a pool and a group."""
    groups, pool = [64] * 100, 256
    rows = epoch_order(groups, 0, 0, pool, None).rows
    for group in range(100):
        places = np.flatnonzero(rows // 64 == group)
        assert places[-1] - places[0] <= 2 * pool + 64


def test_rows_of_a_split_within_the_pool_are_in_any_order() -> None:
    """Of three rows in groups of two and one, all six orders, about as often."""
    seen = [tuple(epoch_order([2, 1], 0, e, 3, None).rows.tolist()) for e in range(3000)]
    counts = [seen.count(order) for order in set(seen)]
    assert len(counts) == 6
    assert min(counts) > 500 * 0.8  # five standard deviations


@given(plan=plans)
def test_workers_show_every_image_once(plan: BatchPlan) -> None:
    places = shown(plan.images, [], plan)
    assert len(places) == len(set(places)) == plan.shown
    if plan.last == "short":
        assert plan.shown == plan.images
    assert plan.images - plan.shown < plan.batch


@given(plan=plans)
def test_every_batch_is_shared_out_evenly(plan: BatchPlan) -> None:
    of_workers = [plan.sizes(rank) for rank in range(plan.workers)]
    assert [sum(sizes) for sizes in zip(*of_workers, strict=True)] == plan.sizes()
    assert all(len(sizes) == plan.steps for sizes in of_workers)
    assert all(max(sizes) - min(sizes) <= 1 for sizes in zip(*of_workers, strict=True))


@given(plan=plans, steps=st.integers(0, 30))
def test_a_continued_epoch_shows_what_it_would_have_shown(plan: BatchPlan, steps: int) -> None:
    steps = min(steps, plan.full_steps)
    past = [Stretch(steps, plan.workers, plan.batch)] if steps else []
    left = BatchPlan(plan.images - steps * plan.batch, plan.batch, plan.workers, plan.last)
    for rank in range(plan.workers):
        share = Share(rank, plan.workers)
        whole = dealt(plan.images, [], plan, share)
        rest = dealt(plan.images, past, left, share)
        assert whole[steps * plan.of_worker(rank) :].tolist() == rest.tolist()


@given(
    images=st.integers(60, 200),
    attempts=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(5, 12)), min_size=1, max_size=4
    ),
    workers=st.integers(1, 5),
)
def test_other_numbers_of_workers_show_what_is_left(
    images: int, attempts: list[tuple[int, int, int]], workers: int
) -> None:
    seen: list[int] = []
    past: list[Stretch] = []
    for steps, world, batch in attempts:
        left = images - sum(s.steps * s.batch for s in past)
        plan = BatchPlan(left, batch, world, "short")
        done = min(steps, plan.full_steps)
        for rank in range(world):
            places = dealt(images, past, plan, Share(rank, world))
            seen += places[: done * plan.of_worker(rank)].tolist()
        past.append(Stretch(done, world, batch))
    last = BatchPlan(images - sum(s.steps * s.batch for s in past), 8, workers, "short")
    seen += shown(images, past, last)
    assert sorted(seen) == list(range(images))


def test_workers_read_parts_that_hardly_overlap() -> None:
    """Of 100 groups, each of four workers needs its quarter and what the pool reaches over."""
    rows = epoch_order([64] * 100, 0, 0, 128, None).rows
    plan = BatchPlan(6400, 32, 4)
    needed = [set((rows[dealt(6400, [], plan, Share(r, 4))] // 64).tolist()) for r in range(4)]
    assert all(len(groups) <= 25 + 2 * 4 for groups in needed)
    assert all(len(one & other) <= 8 for one, other in pairwise(needed))


@pytest.mark.parametrize(("last", "sizes"), [("drop", [8, 8]), ("short", [8, 8, 3])])
def test_what_fills_no_batch_is_left_out_or_a_short_one(last: LastBatch, sizes: list[int]) -> None:
    plan = BatchPlan(19, 8, 4, last)
    assert plan.sizes() == sizes
    assert [plan.sizes(rank)[-1] for rank in range(4)] == (
        [2] * 4 if last == "drop" else [1, 1, 1, 0]
    )


@given(plan=plans, before=st.lists(st.builds(Stretch, *[st.integers(1, 5)] * 3), max_size=3))
def test_dealt_in_turn_each_batch_is_a_stretch_of_the_order(
    plan: BatchPlan, before: list[Stretch]
) -> None:
    done = sum(stretch.steps * stretch.batch for stretch in before)
    parts = [
        np.split(places, np.cumsum(plan.sizes(rank))[:-1]) if plan.steps else []
        for rank in range(plan.workers)
        for places in [dealt_in_turn(before, plan, Share(rank, plan.workers))]
    ]
    batches = [np.concatenate(of_workers).tolist() for of_workers in zip(*parts, strict=True)]
    assert [place for batch in batches for place in batch] == list(range(done, done + plan.shown))
    assert [len(batch) for batch in batches] == plan.sizes()
