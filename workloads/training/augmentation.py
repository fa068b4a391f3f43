"""One view of an image for training: where it lands in the network's input.

A view is drawn once per image and epoch, and then applied to the pixels and to whatever else
lies in the image's frame, so that boxes and maps always fit the pixels.

Shapes: H W size of the image, S side of the network's input.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from workloads.images.decode import Fit, short_side_size
from workloads.images.view import View


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random views: warp to size + margin, crop `size` at random, mirror at random.

    That is SPN's training (section 4). `resize="short_side"` scales to a shorter side of size +
    margin instead and crops at random along both sides (SPG's released code). `fit="pad"` keeps the
    shape of the image, too, and shows all of it, without a crop (Oquab, section 4).

    Attributes:
        rotation_deg, noise: of images that are repeated to balance the classes (Bency, 4.1):
            the largest angle, and the standard deviation of white noise in grey levels.
    """

    size: int
    margin: int = 0
    flip: bool = False
    fit: Fit = "warp"
    rotation_deg: float = 0.0
    noise: float = 0.0
    padding: tuple[int, int, int] = (0, 0, 0)
    resize: Literal["square", "short_side"] = "square"

    def draw(
        self, rng: np.random.Generator, width: int, height: int, *, repeated: bool = False
    ) -> View:
        """A view of an image of that size.

        Args:
            repeated: the image was shown in this epoch before.
        """
        top, left = (int(at) for at in rng.integers(0, self._room(width, height)))
        flip = self.flip and bool(rng.random() < 0.5)
        if self.fit == "pad":
            return View(self.size, fit="pad", flip=flip, padding=self.padding)
        shaped = self.resize == "short_side"
        view = View(self.size, self.margin, top=top, left=left, flip=flip, keeps_shape=shaped)
        if not repeated:
            return view
        angle = float(rng.uniform(-self.rotation_deg, self.rotation_deg))
        seed = int(rng.integers(2**31))
        return replace(view, angle_deg=angle, noise=self.noise, seed=seed)

    def whole(self) -> View:
        """The view that inference has: the whole image, neither cropped nor mirrored."""
        return View(self.size, fit=self.fit, padding=self.padding)

    def _room(self, width: int, height: int) -> tuple[int, int]:
        """Numbers of rows and of columns at which a crop can begin."""
        margin = self.margin if self.fit == "warp" else 0
        if self.resize == "square":
            return margin + 1, margin + 1
        rows, columns = short_side_size(width, height, self.size + margin)
        return rows - self.size + 1, columns - self.size + 1
