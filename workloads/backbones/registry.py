"""All backbones by name; adding one is one file and one line here."""

from __future__ import annotations

from workloads.backbones.alexnet import AlexNet
from workloads.backbones.cnn_s import CnnS
from workloads.backbones.googlenet import GoogLeNet
from workloads.backbones.inception import (
    InceptionV3,
    InceptionV3At14,
    InceptionV3Spg,
    InceptionV3Toolkit,
)
from workloads.backbones.resnet import ResNet50, ResNet50Toolkit
from workloads.backbones.resnet_published import ResNet50Published
from workloads.backbones.tiny import Tiny
from workloads.backbones.vgg import Vgg16, Vgg16Acol, Vgg16Acol28, Vgg16At28, Vgg16Spg
from workloads.backbones.whole_network import Backbones

BACKBONES = Backbones(
    "backbone",
    {
        Tiny.name: Tiny,
        AlexNet.name: AlexNet,
        CnnS.name: CnnS,
        Vgg16.name: Vgg16,
        Vgg16At28.name: Vgg16At28,
        Vgg16Spg.name: Vgg16Spg,
        Vgg16Acol.name: Vgg16Acol,
        Vgg16Acol28.name: Vgg16Acol28,
        GoogLeNet.name: GoogLeNet,
        InceptionV3.name: InceptionV3,
        InceptionV3At14.name: InceptionV3At14,
        InceptionV3Spg.name: InceptionV3Spg,
        InceptionV3Toolkit.name: InceptionV3Toolkit,
        ResNet50.name: ResNet50,
        ResNet50Published.name: ResNet50Published,
        ResNet50Toolkit.name: ResNet50Toolkit,
    },
)
