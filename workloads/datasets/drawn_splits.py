"""Splits of data that people bring: their names as folders have them, or drawn with a seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

TRAIN, VAL, TEST = "train", "val", "test"
_SPELLINGS = {
    TRAIN: ("train", "training"),
    VAL: ("val", "valid", "validation", "dev"),
    TEST: ("test", "testing"),
}
_LEAST = 3  # images of a group from which each drawn split gets one of them


def split_called(name: str) -> str | None:
    """The split that people mean by a name (train, val or test), or None."""
    folded = name.strip().casefold()
    return next((split for split, names in _SPELLINGS.items() if folded in names), None)


def draw_splits(
    images: Sequence[tuple[str, str]], shares: Mapping[str, float], seed: int
) -> list[str]:
    """The split of each image: the same seed and images give the same splits in any order.

    Each group is divided on its own, so that every class is in every split: of three or more
    images of a group each split with a share gets at least one, and train keeps at least one.

    Args:
        images: group (its class, say) and id of each image; ids are unique in a group.
        shares: split to the part of each group that it gets, in [0, 1); the rest is train.
        seed: of the draw.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (group, _) in enumerate(images):
        groups[group].append(index)
    splits = [TRAIN] * len(images)
    for members in groups.values():
        members.sort(key=lambda index: _rank(images[index][1], seed))
        start = 0
        for split, share in shares.items():
            count = int(len(members) * share + 0.5)
            if share > 0 and len(members) >= _LEAST:
                count = max(count, 1)
            count = min(count, len(members) - start - 1)
            for index in members[start : start + count]:
                splits[index] = split
            start += count
    return splits


def _rank(image_id: str, seed: int) -> tuple[str, str]:
    text = f"{seed}/{image_id}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest(), image_id
