"""Classes of a data set against those of an ImageNet classifier."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models import VGG16_Weights

from workloads.backbones.imagenet import check_classes
from workloads.errors import ConfigError

CATEGORIES = tuple(VGG16_Weights.IMAGENET1K_V1.meta["categories"])
FEW = ("tench", "crane bird", "Shih-Tzu", "maillot", "maillot tank suit", "crane")


def classes_of(names: tuple[str, ...] | list[str]) -> list[str]:
    return [f"n{10 * at:08d} {name}" for at, name in enumerate(names)]


def test_the_classes_of_ilsvrc_fit() -> None:
    """Its first words are torchvision's names but for two pairs of equal words."""
    read = list(CATEGORIES)
    read[CATEGORIES.index("crane bird")] = "crane"
    read[CATEGORIES.index("maillot tank suit")] = "maillot"
    check_classes(classes_of(read), CATEGORIES)


def test_spelling_is_no_difference() -> None:
    check_classes(classes_of(["Tench", "crane", "Shih Tzu", "maillot", "maillot", "crane"]), FEW)
    spelled = [*CATEGORIES]
    for at in range(0, 1000, 20):  # as many unknown words as are tolerated
        spelled[at] = "unheard-of"
    check_classes(classes_of(spelled), CATEGORIES)
    spelled[1] = "unheard-of"
    with pytest.raises(ConfigError, match="class 0 of the data set is 'n00000000 unheard-of', of"):
        check_classes(classes_of(spelled), CATEGORIES)


@given(st.integers(0, 990), st.integers(3, 400))
def test_a_run_of_classes_that_is_shifted_is_refused(start: int, length: int) -> None:
    """One synset more at one place, one fewer at another: the usual way to be off by one."""
    run = CATEGORIES[start : start + length]
    shifted = CATEGORIES[:start] + run[1:] + run[:1] + CATEGORIES[start + length :]
    with pytest.raises(ConfigError, match=r"class \d+ of the data set is .*, of the classifier"):
        check_classes(classes_of(shifted), CATEGORIES)


def test_the_first_class_that_differs_is_named() -> None:
    names = ["tench", "crane", "maillot", "maillot", "crane", "crane"]
    with pytest.raises(ConfigError, match="class 2 of the data set is 'n00000020 maillot', of"):
        check_classes(classes_of(names), FEW)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["n00000001 tench"], "the data set has 1 classes, the classifier 2"),
        (["n00000002 tench", "n00000001 hen"], "class 1 .* 'n00000001 hen', after n00000002"),
        (["n00000001 tench", "n00000001 hen"], "class 1 .* ascending order"),
        (["tench", "hen"], "class 0 .* 'tench', not a synset of ImageNet"),
        (["n00000001", "n00000002"], "class 0 .* without words .*LOC_synset_mapping.txt"),
        (["n00000001 --", "n00000002 hen"], "class 0 of the data set is 'n00000001 --', of"),
    ],
)
def test_classes_of_another_kind_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_classes(given, ("tench", "hen"))
