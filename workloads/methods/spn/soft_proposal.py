"""The soft proposal (SP) module: an objectness map from the features themselves (SPN, 3.1-3.2).

Every position votes for positions that look different and lie near:

    T[a, b] = |u_a - u_b| * exp(-|p_a - p_b|^2 / (2 epsilon^2)),   T[a, a] = 0
    D[a, b] = T[a, b] / sum_a T[a, b],   M <- D M  from M = 1 / N until it is stable

T is symmetric, so D colsum(T) = colsum(T): the stable state is colsum(T) / sum(T) and needs no
iteration. The features are then coupled with it, V = U * M.

Shapes: B batch, C channels, H W map size, N = H * W positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

import torch
from pydantic import field_validator
from torch import Tensor, nn

from workloads.options import Options

# The authors' stopping rule: absolute, over the whole vector, checked before each update.
TOLERANCE = 1e-4
MAX_ITERATIONS = 20
# The paper's and the authors' factor in epsilon = 0.15 * side and 0.15 * area.
EPSILON_FACTOR = 0.15
# Half of a symmetric matrix says all of it. Cut into this many strips, 4/7 of it are worked out;
# with more strips the products become too small to be fast (4 to 14 tried, 16x1024x14x14).
STRIPS = 7

Epsilon = Literal["side", "area"] | float


class SoftProposalOptions(Options):
    """Solver and reach of the soft proposal.

    Attributes:
        solver: "stationary" is the exact stable state; "power" is the authors' iteration, which
            stops up to a few percent before it (at most 20 steps, each image on its own); on
            features of only two kinds the iteration swings and does not settle.
        epsilon: reach of a vote in map positions. "side" is 0.15 * sqrt(H * W): 0.15 times the
            side of a square map as the paper says, and for other maps the side of the square of
            the same area, so that a map and its transpose agree. "area" is 0.15 * H * W as in
            the authors' VGG code (nearly flat). Both are resolved for every forward pass.
    """

    solver: Literal["stationary", "power"] = "stationary"
    epsilon: Epsilon = "side"

    @field_validator("epsilon", mode="before")
    @classmethod
    def _check_epsilon(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value in ("side", "area") or (number and 0 < value < float("inf")):
            return value
        raise ValueError("allowed: 'side', 'area' or a number above 0")


class SoftProposal(nn.Module):
    """Features to proposal maps. It has no parameters."""

    def __init__(self, options: SoftProposalOptions) -> None:
        super().__init__()
        self.options = options

    def forward(self, features: Tensor) -> Tensor:
        """Objectness of every position, without a gradient.

        Args:
            features: (B, C, H, W), any float dtype, any memory format.

        Returns:
            (B, H, W), at least 0, summing to 1 per image; float64 for float64 features, else
            float32, under autocast too. Constant features give 1 / N everywhere.
        """
        batch, _, height, width = features.shape
        dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
        reach = resolve_epsilon(self.options.epsilon, height, width)
        solve = _stationary if self.options.solver == "stationary" else _power
        # Distances are differences of large sums: half precision would drown them.
        with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
            kernel = _kernel(height, width, reach, dtype, features.device)
            return solve(features.flatten(2).to(dtype), kernel).view(batch, height, width)


def couple(features: Tensor, proposal: Tensor) -> Tensor:
    """V = U * M (SPN, equation 3); the gradient of U is that of V times M (equations 6 to 8).

    Args:
        features: (B, C, H, W).
        proposal: (B, H, W).

    Returns:
        (B, C, H, W) in the wider of the two dtypes, so that half-precision features times a
        float32 proposal are summed in float32.
    """
    return features * proposal.detach().unsqueeze(1)


def resolve_epsilon(epsilon: Epsilon, height: int, width: int) -> float:
    """Reach of a vote in positions for a map of this size; see `SoftProposalOptions`."""
    area = height * width
    if epsilon == "side":
        return EPSILON_FACTOR * math.sqrt(area)
    if epsilon == "area":
        return EPSILON_FACTOR * area
    return float(epsilon)


def _votes(positions: Tensor, kernel: Tensor, strips: int) -> Iterator[tuple[int, Tensor]]:
    """(B, C, N) feature vectors to T, in strips of whole rows from the diagonal on.

    Squared distances are |a|^2 + |b|^2 - 2 a.b, a matrix product, on vectors without their common
    part: far less cancels then, and distances do not depend on that part. What lies below the
    rounding noise of the product counts as 0: equal vectors are at distance 0, not at a random
    one.

    Yields:
        The first row of each strip, and (B, n, N - first) votes of its n rows; what is left of
        the diagonal stands, mirrored, in the strips before.
    """
    channels, count = positions.shape[1:]
    centred = positions - positions.mean(dim=2, keepdim=True)
    rows = centred.transpose(1, 2)
    step = math.ceil(count / strips)
    products = [torch.bmm(rows[:, i : i + step], centred[:, :, i:]) for i in range(0, count, step)]
    noise = 2 * channels**0.5 * torch.finfo(positions.dtype).eps
    squares = torch.cat([p.diagonal(dim1=1, dim2=2) for p in products], dim=1) * (1 - noise)
    for first, product in zip(range(0, count, step), products, strict=True):
        after = first + product.shape[1]
        squared = product.mul_(-2).add_(squares[:, None, first:])
        squared.add_(squares[:, first:after, None]).clamp_(min=0)
        yield first, squared.sqrt_().mul_(kernel[first:after, first:])


@lru_cache(maxsize=16)
def _kernel(
    height: int, width: int, reach: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """(N, N) weight of a vote by spatial distance, 0 on the diagonal. Read only: it is shared."""
    # Made in inference mode, it could not be used in training afterwards.
    with torch.inference_mode(False):
        y, x = torch.meshgrid(
            torch.arange(height, dtype=torch.float64),
            torch.arange(width, dtype=torch.float64),
            indexing="ij",
        )
        y, x = y.flatten(), x.flatten()
        squared = (y[:, None] - y[None, :]) ** 2 + (x[:, None] - x[None, :]) ** 2
        weights = torch.exp(-squared / (2 * reach**2)).fill_diagonal_(0)
        return weights.to(device, dtype)


def _stationary(positions: Tensor, kernel: Tensor) -> Tensor:
    """(B, C, N) feature vectors to the (B, N) stable state in closed form: sums of T's columns."""
    sums = positions.new_zeros(len(positions), len(kernel))
    for first, votes in _votes(positions, kernel, STRIPS):
        after = first + votes.shape[1]
        sums[:, first:after] += votes.sum(dim=2)
        sums[:, after:] += votes[:, :, after - first :].sum(dim=1)
    return _normalised(sums)


def _power(positions: Tensor, kernel: Tensor) -> Tensor:
    """(B, C, N) to (B, N) by the authors' iteration; every image stops on its own."""
    ((_, votes),) = _votes(positions, kernel, strips=1)
    batch, count, _ = votes.shape
    sums = votes.sum(dim=1, keepdim=True)
    # A position without votes passes nothing on; dividing by 1 keeps its column at 0.
    transition = votes / torch.where(sums > 0, sums, torch.ones_like(sums))
    state = votes.new_full((batch, count), 1 / count)
    moving = torch.ones(batch, 1, dtype=torch.bool, device=votes.device)
    for _ in range(MAX_ITERATIONS):
        update = torch.bmm(transition, state.unsqueeze(2)).squeeze(2)
        moving = moving & ((update - state).norm(dim=1, keepdim=True) >= TOLERANCE)
        if not moving.any():
            break
        state = torch.where(moving, _normalised(update), state)
    return state


def _normalised(confidence: Tensor) -> Tensor:
    """(B, N) divided by its sum; 1 / N where the sum is 0 (constant features)."""
    total = confidence.sum(dim=1, keepdim=True)
    uniform = torch.full_like(confidence, 1 / confidence.shape[1])
    return torch.where(total > 0, confidence / total, uniform)
