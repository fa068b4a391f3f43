"""Draws the images of the data set "digits": real handwritten digits over real photographs.

Everything comes from inside scikit-learn: its 1,797 digits of 8x8 pixels and its two sample
photographs. The splits share neither a digit nor a piece of photograph. An image is a function
of (seed, split, index) alone, so a longer split begins with a shorter one.

Shapes: H W size of the image, h w size of a drawn digit.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from workloads.datasets.digit_options import (
    MAX_OBJECTS,
    MAX_ZOOM,
    SMALL,
    SPLITS,
    DigitsOptions,
    Split,
)
from workloads.records import GroundTruth, Record

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Place = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, half-open

_DIGIT_SHARES = {"train": (0.0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1.0)}
_PHOTO_SHARES = {"train": (0.0, 0.5), "val": (0.5, 0.75), "test": (0.75, 1.0)}
_TINY = (7, 9)
_TRIES = 30


@dataclass(frozen=True)
class Material:
    """Digits and photographs from which one split is drawn.

    Attributes:
        glyphs: per digit class, its samples: float32 of up to (8, 8), 0 paper to 1 ink, without
            empty margins.
        photos: (427, w, 3) float32 strips of the photographs, RGB, 0 to 255.
    """

    glyphs: tuple[tuple[Floats, ...], ...]
    photos: tuple[Floats, ...]


@cache
def material(split: Split) -> Material:
    """The digits and the strips of photograph that belong to one split."""
    from sklearn.datasets import load_digits, load_sample_images  # slow to import

    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)
    glyphs = []
    for label in range(10):
        samples = images[digits.target == label]
        first, last = (round(share * len(samples)) for share in _DIGIT_SHARES[split])
        glyphs.append(tuple(_trim(sample, 0.0) for sample in samples[first:last]))
    photos = []
    for photo in load_sample_images().images:
        first, last = (round(share * photo.shape[1]) for share in _PHOTO_SHARES[split])
        photos.append(photo[:, first:last].astype(np.float32))
    return Material(tuple(glyphs), tuple(photos))


def draw(options: DigitsOptions, split: Split, index: int) -> Record:
    """Image `index` of a split: a JPEG file with exact boxes of what is visible."""
    rng = np.random.default_rng([options.seed, SPLITS.index(split), index])
    scene = _Scene(_backdrop(rng, material(split).photos, options.sizes))
    _add_clutter(rng, scene, material(split), options)
    _add_digits(rng, scene, material(split), options)
    pixels = np.clip(np.rint(scene.pixels), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=options.quality, subsampling=0)
    height, width = pixels.shape[:2]
    return Record(
        image_id=f"{split}_{index:06d}",
        split=split,
        image=stream.getvalue(),
        width=width,
        height=height,
        truth=scene.truth(),
    )


@dataclass
class _Object:
    label: int
    difficult: bool
    visible: Mask  # (H, W)


@dataclass
class _Scene:
    """An image in the making: (H, W, 3) float32 RGB, 0 to 255, and the objects in it."""

    backdrop: Floats
    pixels: Floats = field(init=False)
    objects: list[_Object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pixels = self.backdrop.copy()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def blend(self, alpha: Floats, x: int, y: int, colour: Floats, opacity: float) -> Mask:
        """Paint (h, w) ink with its corner at (x, y); the (H, W) mask of what it covers."""
        h, w = alpha.shape
        region = self.pixels[y : y + h, x : x + w]
        region += np.float32(opacity) * alpha[..., None] * (colour - region)
        mask = np.zeros(self.size, np.bool_)
        mask[y : y + h, x : x + w] = alpha > 0.5
        self._hide(mask)
        return mask

    def occlude(self, place: Place) -> None:
        """Cover a rectangle with another piece of the backdrop."""
        x0, y0, x1, y1 = place
        self.pixels[y0:y1, x0:x1] = self.backdrop[::-1, ::-1][y0:y1, x0:x1]
        mask = np.zeros(self.size, np.bool_)
        mask[y0:y1, x0:x1] = True
        self._hide(mask)

    def truth(self) -> GroundTruth:
        """Tight boxes around what is still visible of each object."""
        seen = [item for item in self.objects if item.visible.any()]
        return GroundTruth.from_boxes(
            np.array([_box_of(item.visible) for item in seen], np.float32),
            np.array([item.label for item in seen], np.int32),
            np.array([item.difficult for item in seen], np.bool_),
        )

    def _hide(self, mask: Mask) -> None:
        for item in self.objects:
            item.visible &= ~mask


def _backdrop(rng: Generator, photos: Sequence[Floats], sizes: Sequence[tuple[int, int]]) -> Floats:
    photo = photos[int(rng.integers(len(photos)))]
    width, height = sizes[int(rng.integers(len(sizes)))]
    zoom = rng.uniform(1.0, MAX_ZOOM)
    w, h = round(width * zoom), round(height * zoom)
    x = int(rng.integers(photo.shape[1] - w + 1))
    y = int(rng.integers(photo.shape[0] - h + 1))
    crop = cv2.resize(photo[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_AREA)
    flipped = crop[:, ::-1] if rng.random() < 0.5 else crop
    return np.ascontiguousarray(flipped * rng.uniform(0.6, 1.1), dtype=np.float32)


def _add_clutter(rng: Generator, scene: _Scene, source: Material, options: DigitsOptions) -> None:
    """Fragments of digits: the strokes and colours of objects, too partial to be read."""
    for _ in range(int(rng.integers(options.clutter // 2, options.clutter + 1))):
        glyph = _pick(rng, source.glyphs[rng.integers(10)])
        side = int(rng.integers(2, 5))
        row = int(rng.integers(max(1, glyph.shape[0] - side + 1)))
        column = int(rng.integers(max(1, glyph.shape[1] - side + 1)))
        piece = glyph[row : row + side, column : column + side]
        alpha = _ink(piece, piece.shape[0] * rng.uniform(1.5, 4.0), rng.uniform(-180, 180))
        if alpha.size == 0:
            continue
        x, y = _spread(rng, scene.size, alpha.shape)
        colour = _colour(rng, scene, alpha, (x, y), (40, 255))
        scene.blend(alpha, x, y, colour, rng.uniform(0.6, 1.0))


def _add_digits(rng: Generator, scene: _Scene, source: Material, options: DigitsOptions) -> None:
    taken: list[Place] = []
    for turn in range(1 + int(rng.choice(len(options.groups), p=options.groups))):
        group = _choose_group(rng, source, options, always_easy=turn == 0)
        if len(taken) + len(group) > MAX_OBJECTS:
            continue
        places = _find_places(rng, scene.size, [digit.shape for digit in group], taken)
        for digit, place in zip(group, places, strict=False):
            _add_digit(rng, scene, digit, place)
        taken += places


@dataclass(frozen=True)
class _Digit:
    label: int
    hardship: str | None  # "faint", "hidden", "tiny"; None if it is not difficult
    alpha: Floats  # (h, w)
    body: Floats | None = None  # (H, W), at least as large; what the digit is a mark of

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width of the object."""
        return (self.alpha if self.body is None else self.body).shape


def _choose_group(
    rng: Generator, source: Material, options: DigitsOptions, *, always_easy: bool
) -> list[_Digit]:
    """A digit and, often, the one that it brings. The first digit of an image is easy, so that
    every image has a label."""
    labels, companions = [int(rng.integers(10))], dict(options.pairs)
    if labels[0] in companions and rng.random() < options.companion:
        labels.append(companions[labels[0]])
    group: list[_Digit] = []
    for label in labels:
        easy = rng.random() >= options.difficult or (always_easy and not group)
        hardship = None if easy else str(rng.choice(("faint", "hidden", "tiny")))
        height = _height(rng, hardship, options)
        alpha = _ink(_pick(rng, source.glyphs[label]), height, rng.uniform(-12, 12))
        body = None if options.bodies is None else _body(rng, alpha.shape, options.bodies)
        group.append(_Digit(label, hardship, alpha, body))
    return group


def _height(rng: Generator, hardship: str | None, options: DigitsOptions) -> int:
    if hardship == "tiny":
        low, high = _TINY
    elif hardship is None and rng.random() < options.small:
        low, high = SMALL
    else:
        low, high = options.heights
    return int(rng.integers(low, high + 1))


def _add_digit(rng: Generator, scene: _Scene, digit: _Digit, place: Place) -> None:
    x, y = place[:2]
    contrast = (18, 30) if digit.hardship == "faint" else (70, 255)
    visible = np.zeros(scene.size, np.bool_)
    if digit.body is not None:
        colour = _colour(rng, scene, digit.body, (x, y), (40, 255))
        visible = scene.blend(digit.body, x, y, colour, rng.uniform(0.85, 1.0))
        rooms = (a - b for a, b in zip(digit.body.shape, digit.alpha.shape, strict=True))
        down, across = (int(rng.integers(room + 1)) for room in rooms)
        x, y = x + across, y + down
    colour = _colour(rng, scene, digit.alpha, (x, y), contrast)
    visible |= scene.blend(digit.alpha, x, y, colour, rng.uniform(0.85, 1.0))
    scene.objects.append(_Object(digit.label, digit.hardship is not None, visible))
    if digit.hardship == "hidden":
        scene.occlude(_part(rng, place))


def _body(rng: Generator, shape: tuple[int, ...], sizes: tuple[float, float]) -> Floats:
    """An ellipse in a box so many times as high and as wide as a digit of (h, w): (H, W) ink."""
    height, width = (round(side * rng.uniform(*sizes)) for side in shape)
    rows, columns = np.ogrid[:height, :width]
    away = ((rows + 0.5) / height * 2 - 1) ** 2 + ((columns + 0.5) / width * 2 - 1) ** 2
    return (away <= 1).astype(np.float32)


def _part(rng: Generator, place: Place) -> Place:
    """One side of a rectangle, 45 to 60 % of it."""
    x0, y0, x1, y1 = place
    share = rng.uniform(0.45, 0.6)
    x, y = round(x0 + share * (x1 - x0)), round(y0 + share * (y1 - y0))
    sides = ((x0, y0, x, y1), (x, y0, x1, y1), (x0, y0, x1, y), (x0, y, x1, y1))
    return sides[rng.integers(4)]


def _find_places(
    rng: Generator, size: tuple[int, int], shapes: Sequence[tuple[int, ...]], taken: list[Place]
) -> list[Place]:
    """Places of a group, clear of those taken. Without room the last of the group stays out."""
    for length in range(len(shapes), 0, -1):
        for _ in range(_TRIES):
            places = _try_places(rng, size, shapes[:length])
            if all(_is_free(place, size, taken) for place in places):
                return places
    return []


def _try_places(
    rng: Generator, size: tuple[int, int], shapes: Sequence[tuple[int, ...]]
) -> list[Place]:
    (h, w), *others = shapes
    x, y = _spread(rng, size, (h, w))
    return [(x, y, x + w, y + h), *(_beside(rng, (x, y, x + w, y + h), other) for other in others)]


def _beside(rng: Generator, place: Place, shape: tuple[int, ...]) -> Place:
    """A place to the right or left of another, or below or above it, 0 to 2 pixels away."""
    x0, y0, x1, y1 = place
    h, w = shape
    gap = int(rng.integers(3))
    along = rng.uniform(0, 1)
    level = round(y0 + along * (y1 - y0 - h))
    column = round(x0 + along * (x1 - x0 - w))
    corners = ((x1 + gap, level), (x0 - gap - w, level), (column, y1 + gap), (column, y0 - gap - h))
    x, y = corners[rng.choice(4, p=(0.4, 0.4, 0.1, 0.1))]
    return (x, y, x + w, y + h)


def _is_free(place: Place, size: tuple[int, int], taken: list[Place]) -> bool:
    x0, y0, x1, y1 = place
    inside = x0 >= 0 and y0 >= 0 and x1 <= size[1] and y1 <= size[0]
    return inside and all(_overlap(place, other) <= 0.1 for other in taken)


def _overlap(a: Place, b: Place) -> float:
    """Intersection, as a share of the smaller rectangle."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((p[2] - p[0]) * (p[3] - p[1]) for p in (a, b))
    return max(0, width) * max(0, height) / smaller


def _spread(rng: Generator, size: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int]:
    """Corner (x, y) of a rectangle inside the image, towards the borders rather than the centre:
    uniform corners would put most centres near the centre of the image."""
    y, x = (
        round((room - side) * rng.beta(0.6, 0.6)) for room, side in zip(size, shape, strict=True)
    )
    return x, y


def _pick(rng: Generator, samples: Sequence[Floats]) -> Floats:
    return samples[int(rng.integers(len(samples)))]


def _ink(cells: Floats, height: float, angle: float) -> Floats:
    """Scale (rows, columns) of ink to about `height` pixels and turn it by `angle` degrees.

    Returns:
        (h, w) float32 opacity in [0, 1], trimmed to where it is over 0.5; maybe empty.
    """
    padded = np.pad(cells, 1)
    scale = height / cells.shape[0]
    side = int(np.ceil(np.hypot(*padded.shape) * scale))
    centre = ((padded.shape[1] - 1) / 2, (padded.shape[0] - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, angle, scale)
    matrix[:, 2] += (side - 1) / 2 - np.array(centre)
    soft = cv2.warpAffine(padded, matrix, (side, side), flags=cv2.INTER_CUBIC)
    return _trim(np.clip((soft - 0.3) / 0.3, 0, 1).astype(np.float32), 0.5)


def _colour(
    rng: Generator,
    scene: _Scene,
    alpha: Floats,
    corner: tuple[int, int],
    contrast: tuple[int, int],
) -> Floats:
    """(3,) float32 RGB whose brightness differs from what lies below by the given contrast."""
    x, y = corner
    h, w = alpha.shape
    below = scene.pixels[y : y + h, x : x + w].reshape(-1, 3).mean(axis=0)
    for _ in range(_TRIES):
        colour = rng.uniform(0, 255, 3)
        if contrast[0] <= abs(colour.mean() - below.mean()) <= contrast[1]:
            return colour.astype(np.float32)
    flat = below + np.float32(contrast[0] if below.mean() < 128 else -contrast[0])
    clipped: Floats = np.clip(flat, 0, 255).astype(np.float32)
    return clipped


def _trim(cells: Floats, threshold: float) -> Floats:
    """Without the rows and columns at the borders that nowhere exceed the threshold."""
    x0, y0, x1, y1 = _box_of(cells > threshold)
    trimmed: Floats = cells[y0:y1, x0:x1]
    return trimmed


def _box_of(mask: Mask) -> Place:
    """The tightest rectangle around a mask; (0, 0, 0, 0) around nothing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return (0, 0, 0, 0)
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
