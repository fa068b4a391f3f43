"""All backbones by name; adding one is one file and one line here."""

from __future__ import annotations

from workloads.backbones.base import Backbone
from workloads.backbones.tiny import Tiny
from workloads.backbones.vgg import Vgg16
from workloads.registry import Registry

BACKBONES: Registry[type[Backbone]] = Registry(
    "backbone",
    {
        Tiny.name: Tiny,
        Vgg16.name: Vgg16,
    },
)
