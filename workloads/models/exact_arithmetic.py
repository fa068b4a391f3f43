"""Settings of torch under which equal shapes give equal bits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

GPU_CHUNK = 16
"""Images of every forward pass on a GPU; see `localizer` for why it never changes."""


def exact_arithmetic(
    device: torch.device, *, one_thread: bool = True
) -> AbstractContextManager[None]:
    """Context of exact, reproducible arithmetic for a forward pass.

    Args:
        one_thread: on a CPU, set torch's number of threads to 1 and leave it so: restoring it
            would change the rounding of a call that runs beside this one.
    """
    if device.type == "cuda":
        # Without these, cuDNN may measure its algorithms and pick by time, and convolutions run
        # in TF32. Reduced precision is for training only.
        exact: AbstractContextManager[None] = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        return exact
    if one_thread:
        torch.set_num_threads(1)  # torch keeps the number per calling thread
    return nullcontext()
