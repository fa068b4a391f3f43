"""The soft proposal in closed form against the power iteration that it replaces.

Shapes: B batch, C channels, H W map size, N = H * W positions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.interleaved import interleaved, one_torch_thread
from workloads.methods.base import Targets
from workloads.methods.registry import build_method
from workloads.methods.spn.soft_proposal import (
    MAX_ITERATIONS,
    SoftProposal,
    SoftProposalOptions,
    couple,
    resolve_epsilon,
)
from workloads.methods.spn.spn import Spn

SHAPE = (16, 1024, 14, 14)
REPEATS: dict[Extent, int] = {"quick": 1, "usual": 3, "full": 7}
# A training step of SP-VGG16 takes seconds on one core; share of time does not depend on B.
STEP_IMAGES, STEP_SIZE, STEP_REPEATS = 1, 224, 2

Distances = Callable[[Tensor], Tensor]


def compare_soft_proposal(extent: Extent = "usual") -> dict[str, object]:
    """Stationary soft proposal of 16x1024x14x14 float32 features: time, against three others.

    The baseline of `ratio` is the method as published, 20 batched steps on the column-normalised
    transition matrix, with everything it needs: distances by `torch.cdist`, normalisation. The
    kernel of spatial distances is given to it.

    Returns:
        `ratio` cdist_20_steps / stationary, and `stationary_ms`; the baselines, each
        forward from features to proposal: `cdist_20_steps_ms`; `explicit_20_steps_ms` with
        differences formed one by one; `product_20_steps_ms` with distances from one matrix
        product, as the closed form has them, but of the whole matrix; `authors_rule_ms`, the
        option solver="power", which stops early. `matrix_product_ms` is the one product of
        16x1024x196 features with themselves, `over_matrix_product` stationary_ms / that.
        `max_difference` of 20 steps from the closed form, relative. `step_share` of the module,
        forward and backward, in a training step of SP-VGG16, `step_ms`.
    """
    features = torch.relu(torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)))
    positions, kernel = features.flatten(2), spatial_kernel(*SHAPE[2:])
    ways = {
        "stationary_ms": lambda: proposal(features, "stationary"),
        "cdist_20_steps_ms": lambda: power_iteration(cdist(positions), kernel),
        "explicit_20_steps_ms": lambda: power_iteration(explicit(positions), kernel),
        "product_20_steps_ms": lambda: power_iteration(by_product(positions), kernel),
        "authors_rule_ms": lambda: proposal(features, "power"),
        "matrix_product_ms": lambda: torch.bmm(positions.transpose(1, 2), positions),
    }
    with one_torch_thread():
        with torch.inference_mode():
            found = ways["stationary_ms"]().flatten(1)  # warms up, too
            steps = ways["cdist_20_steps_ms"]()
            rounds = interleaved(ways, REPEATS[extent])
        share = step_share()
    return {
        "name": "soft-proposal",
        "ratio": rounds.ratio("cdist_20_steps_ms", "stationary_ms"),
        **rounds.ms(),
        "over_matrix_product": rounds.ratio("stationary_ms", "matrix_product_ms"),
        "max_difference": float((steps / found - 1).abs().max()),
        **share,
    }


def proposal(features: Tensor, solver: str) -> Tensor:
    """(B, C, H, W) to (B, H, W) as this project does it."""
    options = SoftProposalOptions.parse({"solver": solver}, "benchmark")
    found: Tensor = SoftProposal(options)(features)
    return found


def power_iteration(distances: Tensor, kernel: Tensor) -> Tensor:
    """(B, N, N) distances to (B, N) after 20 steps, none left out (SPN, equation 1)."""
    votes = distances * kernel
    transition = votes / votes.sum(dim=1, keepdim=True)
    batch, positions, _ = votes.shape
    state = votes.new_full((batch, positions, 1), 1 / positions)
    for _ in range(MAX_ITERATIONS):
        state = torch.bmm(transition, state)
        state = state / state.sum(dim=1, keepdim=True)
    return state.squeeze(2)


def cdist(positions: Tensor, mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """(B, C, N) to (B, N, N) distances, the plain way."""
    rows = positions.transpose(1, 2)
    return torch.cdist(rows, rows, compute_mode=mode)


explicit: Distances = partial(cdist, mode="donot_use_mm_for_euclid_dist")


def by_product(positions: Tensor) -> Tensor:
    """The same from |a|^2 + |b|^2 - 2 a.b."""
    centred = positions - positions.mean(dim=2, keepdim=True)
    product = torch.bmm(centred.transpose(1, 2), centred)
    squares = product.diagonal(dim1=1, dim2=2).clone()
    squared = product.mul_(-2).add_(squares.unsqueeze(1)).add_(squares.unsqueeze(2))
    return squared.clamp_(min=0).sqrt_()


def spatial_kernel(height: int, width: int) -> Tensor:
    """(N, N) exp(-|p - q|^2 / (2 epsilon^2)), 0 on the diagonal."""
    cells = torch.cartesian_prod(torch.arange(height), torch.arange(width)).float()
    epsilon = resolve_epsilon("side", height, width)
    return torch.exp(-(torch.cdist(cells, cells) ** 2) / (2 * epsilon**2)).fill_diagonal_(0)


def step_share() -> dict[str, float]:
    """`step_ms` of forward and backward of SP-VGG16, and the soft proposal's share of it."""
    method = cast(Spn, build_method("spn", "vgg16", 20, "multilabel").train())
    images = torch.randn(STEP_IMAGES, 3, STEP_SIZE, STEP_SIZE)
    targets = Targets(torch.ones(STEP_IMAGES, 20))
    with torch.inference_mode():
        features = method.features(images)
    features = features.clone().requires_grad_()  # outside of inference mode

    def step() -> None:
        torch.autograd.backward(method.loss(method(images), targets)["classification"])

    def module() -> None:
        coupled = couple(features, method.soft_proposal(features))
        torch.autograd.backward(coupled.sum(dim=(2, 3)).sum())

    rounds = interleaved({"step": step, "module": module}, STEP_REPEATS)
    return {"step_share": rounds.ratio("module", "step"), "step_ms": rounds.ms()["step"]}
