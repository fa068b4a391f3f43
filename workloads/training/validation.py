"""Class scores of validation images while a network learns."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from workloads.backbones.normalizer import InputNormalizer
from workloads.methods.base import Method
from workloads.training.batch import Batch


@torch.inference_mode()
def class_scores(method: Method, batches: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """(N, K) scores, (N, K) labels and (N, K) difficult flags of batches, on the CPU."""
    device = next(method.parameters()).device
    normalize = InputNormalizer(method.backbone.mean, method.backbone.std).to(device)
    method.eval()
    none = torch.zeros(0, method.num_classes)
    scores, labels, difficult = [none], [none], [none.bool()]
    for batch in batches:
        pixels = normalize(batch.images.to(device))
        answer = method.localize(pixels, batch.extents.to(device))
        scores.append(answer.scores.float().cpu())
        labels.append(batch.labels)
        difficult.append(batch.difficult)
    return torch.cat(scores), torch.cat(labels), torch.cat(difficult)
