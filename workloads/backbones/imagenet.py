"""Whether a data set's classes are those of ImageNet classifiers, in the same order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workloads.errors import ConfigError

# The share of names that must agree. The others may be spelled in ways that are not known here.
AGREEING = 0.95

_CLASS = re.compile(r"(n\d{8})(?: (.+))?")
_WORD = re.compile(r"[a-z0-9]+")


def check_classes(dataset_classes: Sequence[str], categories: Sequence[str]) -> None:
    """Refuse classes that a classifier's logits do not belong to, one by one.

    A classifier of torchvision's has its classes in ascending order of their synsets, but names
    only words: "crane bird". The reader of ILSVRC names synset and words, "n02012849 crane", in
    the order of a file. The two fit if there are as many, the synsets ascend, and the words agree:
    those of one name are all in the other. That leaves no room for a shift: a name that is another
    category's is refused at once, one that is no category's only with more than 1 in 20 others.

    Args:
        dataset_classes: "n01440764 tench" or "n01440764", in the order of the labels.
        categories: the classifier's names, "tench", in the order of its logits.

    Raises:
        ConfigError: they do not fit; names the first class that differs.
    """
    if len(dataset_classes) != len(categories):
        raise ConfigError(
            f"the data set has {len(dataset_classes)} classes, the classifier {len(categories)}; "
            "use a classifier of the same classes"
        )
    names = _names_in_order(dataset_classes)
    known = {_words(category) for category in categories}
    differing = [
        at
        for at, (name, category) in enumerate(zip(names, categories, strict=True))
        if not _agree(_words(name), _words(category))
    ]
    elsewhere = [at for at in differing if _words(names[at]) in known]
    if elsewhere or len(differing) > (1 - AGREEING) * len(categories):
        at = (elsewhere or differing)[0]
        raise ConfigError(
            f"class {at} of the data set is '{dataset_classes[at]}', of the classifier "
            f"'{categories[at]}'; use the data set's 1,000 classes of ILSVRC in ascending order, "
            "or a classifier of its own classes"
        )


def _names_in_order(classes: Sequence[str]) -> list[str]:
    """The words of each class, after a check that all have some and that the synsets ascend."""
    names, before = [], ""
    for at, given in enumerate(classes):
        match = _CLASS.fullmatch(given)
        if match is None:
            raise ConfigError(
                f"class {at} of the data set is '{given}', not a synset of ImageNet with its words "
                "like 'n01440764 tench'; the classifier's classes are ImageNet's"
            )
        if match[1] <= before:
            raise ConfigError(
                f"class {at} of the data set is '{given}', after {before}; a classifier of "
                "ImageNet has its classes in ascending order of synsets"
            )
        if match[2] is None:
            raise ConfigError(
                f"class {at} of the data set is '{given}' without words to compare; put "
                "LOC_synset_mapping.txt beside the images and ingest again"
            )
        names.append(match[2])
        before = match[1]
    return names


def _words(name: str) -> frozenset[str]:
    return frozenset(_WORD.findall(name.lower()))


def _agree(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one and other) and (one <= other or other <= one)
