"""One view of an image for training: where it lands in the network's input.

A view is drawn once per image and epoch, and then applied to the pixels and to whatever else
lies in the image's frame, so that boxes and maps always fit the pixels.

Shapes: H W size of the image, S side of the network's input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workloads.images.decode import Fit
from workloads.images.view import View


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random views: warp to size + margin, crop `size` at random, mirror at random.

    That is SPN's training (section 4). `fit="pad"` keeps the shape of the image instead and shows
    all of it, without a crop (Oquab, section 4).

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

    def draw(self, rng: np.random.Generator, *, repeated: bool = False) -> View:
        """A view; `repeated` for an image that was shown in this epoch before."""
        margin = self.margin if self.fit == "warp" else 0
        top, left = (int(at) for at in rng.integers(0, margin + 1, size=2))
        flip = self.flip and bool(rng.random() < 0.5)
        if self.fit == "pad":
            return View(self.size, fit="pad", flip=flip, padding=self.padding)
        view = View(self.size, self.margin, top=top, left=left, flip=flip)
        if not repeated:
            return view
        angle = float(rng.uniform(-self.rotation_deg, self.rotation_deg))
        return View(
            self.size, self.margin, top=top, left=left, flip=flip,
            angle_deg=angle, noise=self.noise, seed=int(rng.integers(2**31)),
        )  # fmt: skip

    def whole(self) -> View:
        """The view that inference has: the whole image, neither cropped nor mirrored."""
        return View(self.size, fit=self.fit, padding=self.padding)
