"""GoogLeNet (Szegedy et al. 2015), cut as in GoogLeNet-GAP (Zhou et al. 2016)."""

from __future__ import annotations

from typing import ClassVar, cast

from torch import nn

from workloads.backbones.torchvision_backbone import ChainedBackbone


class GoogLeNet(ChainedBackbone):
    """torchvision's GoogLeNet up to inception4e: stride 16, 14x14 at 224, 832 channels.

    A map has floor(ceil(H / 2) / 8) rows: the first convolution rounds up, pooling down.

    The published weights were trained on RGB scaled to [-1, 1]. torchvision converts to that
    inside the network (`transform_input`); here mean and std say it, so the network has no step
    that depends on the normalisation before it.
    """

    name: ClassVar[str] = "googlenet"
    out_channels: ClassVar[int] = 832
    stride: ClassVar[int] = 16
    input_size: ClassVar[int] = 224
    mean: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    stage_channels: ClassVar = {
        "conv1": 64, "conv2": 64, "conv3": 192,
        "inception3a": 256, "inception3b": 480,
        "inception4a": 512, "inception4b": 512, "inception4c": 512, "inception4d": 528,
        "inception4e": 832,
    }  # fmt: skip
    blocks = ("conv1", "conv3", "inception3b", "inception4e")
    # As SPG has it in Inception-v3: the end of one group, and the last stage but one.
    parts: ClassVar = {name: (name,) for name in stage_channels} | {
        "conv2": ("maxpool1", "conv2"),
        "inception3a": ("maxpool2", "inception3a"),
        "inception4a": ("maxpool3", "inception4a"),
    }
    weights_name: ClassVar[str] = "GoogLeNet_Weights.IMAGENET1K_V1"

    @classmethod
    def network(cls) -> nn.Module:
        """torchvision's, with its two auxiliary classifiers and without initial weights."""
        from torchvision.models import googlenet

        return cast(nn.Module, googlenet(weights=None, aux_logits=True, init_weights=False))
