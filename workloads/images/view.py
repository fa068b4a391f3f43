"""The view that a network has of an image: resized, or padded, with where the image lies in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from workloads.images.decode import (
    Fit,
    padded_size,
    resize_padded,
    resize_short_side,
    resize_square,
    short_side_size,
)


def padding_colour(mean: tuple[float, float, float]) -> tuple[int, int, int]:
    """The RGB grey levels that normalisation by `mean` (in [0, 1]) turns into zeros, nearly."""
    red, green, blue = (round(255 * channel) for channel in mean)
    return red, green, blue


@dataclass(frozen=True, slots=True)
class View:
    """Geometry of an image in the network's S x S input.

    Attributes:
        size: S.
        margin: pixels by which the square is larger before it is cropped.
        fit: way in which the image becomes that square.
        keeps_shape: instead of becoming a square, a warped image is scaled until its shorter side
            is as long as that square's.
        top, left: corner of the crop in it, or in the image of its own shape.
        flip: whether what is seen is mirrored; padding stays below and to the right.
        angle_deg: rotation of it about its centre before the crop, counter-clockwise.
        noise: standard deviation of white noise, grey levels; `seed` decides the noise.
        padding: RGB of what is not image.
    """

    size: int
    margin: int = 0
    fit: Fit = "warp"
    top: int = 0
    left: int = 0
    flip: bool = False
    angle_deg: float = 0.0
    noise: float = 0.0
    seed: int = 0
    padding: tuple[int, int, int] = (0, 0, 0)
    keeps_shape: bool = False

    def pixels(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 to (S, S, 3) uint8."""
        side = self.size + self.margin
        if self.fit == "pad":
            return resize_padded(self._mirrored(image), side, self.padding)
        resize = resize_short_side if self.keeps_shape else resize_square
        seen = self._mirrored(self._crop(self._rotated(resize(image, side))))
        return self._noisy(seen) if self.noise else np.ascontiguousarray(seen)

    def map01(self, values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
        """(h, w) map over an image of that size to (S, S); 0 where there is no image.

        The map need not have the size of the image, only its frame.
        """
        side = self.size + self.margin
        rows, columns = self._covered(width, height)
        scaled = cv2.resize(
            values.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR
        )
        if self.fit == "pad":
            square = np.zeros((side, side), dtype=np.float32)
            square[:rows, :columns] = self._mirrored(scaled)
            return square
        return np.ascontiguousarray(self._mirrored(self._crop(self._rotated(scaled))))

    def boxes(
        self, boxes_xyxy: NDArray[np.float32], width: int, height: int
    ) -> NDArray[np.float32]:
        """(N, 4) boxes of an image of that size in pixels of the input, clipped to it.

        A box outside of the crop becomes empty (x0 = x1 or y0 = y1); none is left out.

        Raises:
            ValueError: the view is rotated; a turned box has no sides.
        """
        if self.angle_deg:
            raise ValueError("boxes cannot follow a rotation; set train.rotation_deg to 0")
        rows, columns = self._covered(width, height)
        scale = np.array([columns / width, rows / height] * 2, dtype=np.float32)
        corner = np.array([self.left, self.top] * 2, dtype=np.float32)
        moved = boxes_xyxy * scale - corner
        seen: NDArray[np.float32] = np.clip(moved, 0, self.size).astype(np.float32)
        if self.flip:
            seen[:, [0, 2]] = min(columns, self.size) - seen[:, [2, 0]]
        return seen

    def extent(self, width: int, height: int) -> tuple[float, float]:
        """Share of the input's height and width that is image; 1 and 1 unless it is padded.

        The image starts at the top left.
        """
        if self.fit == "warp":
            return 1.0, 1.0
        rows, columns = self._covered(width, height)
        side = self.size + self.margin
        return rows / side, columns / side

    def _covered(self, width: int, height: int) -> tuple[int, int]:
        side = self.size + self.margin
        if self.fit == "pad":
            return padded_size(width, height, side)
        return short_side_size(width, height, side) if self.keeps_shape else (side, side)

    def _crop(self, whole: NDArray) -> NDArray:
        return whole[self.top : self.top + self.size, self.left : self.left + self.size]

    def _mirrored(self, array: NDArray) -> NDArray:
        return np.ascontiguousarray(array[:, ::-1]) if self.flip else array

    def _rotated(self, whole: NDArray) -> NDArray:
        if not self.angle_deg:
            return whole
        height, width = whole.shape[:2]
        middle = ((width - 1) / 2, (height - 1) / 2)
        turn = cv2.getRotationMatrix2D(middle, self.angle_deg, 1.0)
        return np.asarray(
            cv2.warpAffine(whole, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        )

    def _noisy(self, seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
        noise = np.random.default_rng(self.seed).normal(0, self.noise, seen.shape)
        return np.clip(np.rint(seen + noise), 0, 255).astype(np.uint8)
