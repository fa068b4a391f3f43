"""Every registered method on every registered backbone: train, save, load, localize, detect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from workloads.backbones.registry import BACKBONES
from workloads.errors import ConfigError
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.base import Localization, Method, Targets
from workloads.methods.classification import class_scores, classification_loss
from workloads.methods.registry import METHODS, backbones_of, build_method
from workloads.methods.spn.spn import Spn, SpnOptions
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.localizer import Localizer
from workloads.models.version import save_model

CLASSES = 3
SIZE = 64
MOST_STEPS = 8  # a deep network with batch normalisation over three images starts unsteadily
TASKS = ("multilabel", "singlelabel")
PRESETS = [(m, p) for m in METHODS for p in (None, *METHODS[m].presets)]
# Every method on every backbone that it can be built on. Of the large backbones, `make test` walks
# those that differ in more than strides and poolings, with one method, and a method for each part
# of the contract (features, guidance, blocks) on two of them; `make test-long` walks all.
QUICK = ("cam", "spg", "saliency-aware")
QUICK_ON = ("tiny", "vgg16", "inception_v3")
ALIKE = (
    "vgg16_28",
    "vgg16_spg",
    "vgg16_acol",
    "vgg16_acol_28",
    "inception_v3_spg",
    "inception_v3_toolkit",
    "resnet50_toolkit",
)


def is_quick(method: str, backbone: str) -> bool:
    if method == "cam":
        return backbone not in ALIKE
    return backbone == "tiny" or (method in QUICK and backbone in QUICK_ON)


EVERY = [
    pytest.param(m, b, marks=[] if is_quick(m, b) else pytest.mark.long)
    for m in METHODS
    for b in backbones_of(METHODS[m])
]


@pytest.fixture(autouse=True)
def _few_hidden_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    for backbone in BACKBONES.values():
        if backbone.has_fully_connected:
            monkeypatch.setattr(backbone, "hidden_channels", 32)


def small(method: str, backbone: str, task: str = "multilabel") -> Method:
    """A member with narrow added layers, so that walking the registries stays fast."""
    return build_method(method, backbone, CLASSES, task, "tiny")


def maps_of_all(answer: Localization) -> Tensor:
    """(B, K, h, w) maps of the main scale."""
    return torch.stack([m[0] for m in answer.maps_of([range(CLASSES)] * len(answer.scores))])


def easy_batch() -> tuple[Tensor, Targets]:
    """Three images whose class is the brightest colour channel, in a square in the middle."""
    labels = torch.eye(CLASSES)
    images = 0.1 * torch.randn(CLASSES, 3, SIZE, SIZE)
    images[:, :, 16:48, 16:48] += 2 * labels[:, :, None, None]
    saliency = torch.zeros(CLASSES, SIZE, SIZE)
    saliency[:, 16:48, 16:48] = 1
    return images, Targets(labels, saliency=saliency)


def card_of(method: Method) -> ModelCard:
    return ModelCard(
        method=method.name,
        method_options=method.options.model_dump(mode="json"),
        backbone=method.backbone.name,
        task=method.task,
        classes=("a", "b", "c"),
        preprocessing=Preprocessing(size=SIZE, mean=method.backbone.mean, std=method.backbone.std),
        cutoffs=Cutoffs(score_threshold=0.0),
        cooccurrence=((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)),
        provenance={},
    )


@pytest.mark.parametrize(("name", "backbone"), EVERY)
def test_a_member_trains_saves_loads_localizes_and_detects(
    name: str, backbone: str, tmp_path: Path
) -> None:
    method = small(name, backbone).train()
    images, targets = easy_batch()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.01)
    losses = []
    while len(losses) < 3 or (losses[-1] >= losses[0] and len(losses) < MOST_STEPS):
        torch.manual_seed(0)  # the same dropout each time, so that losses can be compared
        outputs = method(images)
        assert outputs["logits"].shape == (CLASSES, CLASSES)
        terms = method.loss(outputs, targets)
        total = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        total.backward()
        assert all(p.grad is not None for p in method.parameters() if p.requires_grad)
        optimizer.step()
        # Other terms may start at 0 and rise, as SPG's masks cover more and more.
        losses.append(terms["classification"].item())
    assert losses[-1] < losses[0]

    save_model(tmp_path / "model", method, card_of(method))
    localizer = Localizer.load(tmp_path / "model")
    image = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    (response,) = localizer.predict([image])
    assert response.scores.shape == (CLASSES,)
    (found,) = localizer.detect([image])
    assert (found.width, found.height) == (70, 40)
    # A constant map has no foreground; Grad-CAM's rectification may leave one, and so does an
    # image that is no larger than one window of a sliding network.
    varied = {k for k in range(CLASSES) if np.ptp(response.maps_of(k)[0]) > 0}
    assert set(found.labels.tolist()) == varied


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", METHODS)
def test_answers_have_the_promised_shapes_types_and_ranges(name: str, task: str) -> None:
    method = small(name, "tiny", task).eval()
    with torch.inference_mode():
        answer = method.localize(torch.randn(2, 3, 48, 64))
        logits = method(torch.randn(2, 3, 48, 64))["logits"]
    assert logits.shape == answer.scores.shape == (2, CLASSES)
    maps = maps_of_all(answer)
    assert maps.shape[:2] == (2, CLASSES)
    if name == "centre-point":
        assert maps.shape[2:] == (13, 17)  # odd, to have a middle
    elif not method.backbone.fully_connected:  # those choose the size of their maps themselves
        assert maps.shape[2:] == (12, 16)
    assert answer.scores.dtype == maps.dtype == torch.float32
    assert ((answer.scores >= 0) & (answer.scores <= 1)).all()
    if task == "singlelabel":
        torch.testing.assert_close(answer.scores.sum(1), torch.ones(2))
    if answer.proposal is not None:
        assert answer.proposal.shape == (2, 12, 16)
        torch.testing.assert_close(answer.proposal.sum((1, 2)), torch.ones(2))


@pytest.mark.parametrize("name", METHODS)
def test_scores_and_training_logits_are_of_one_network(name: str) -> None:
    method = small(name, "tiny").eval()
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.inference_mode():
        logits, scores = method(images)["logits"], method.localize(images).scores
    # Bency's classes share one probability, also where several are present.
    expected = logits.softmax(dim=1) if name == "bency" else logits.sigmoid()
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("name", ["cam", "spn"])
def test_maps_add_up_to_the_logits_without_bias(name: str) -> None:
    """CAM's mean and SPN's sum over positions of a class's map are its logit minus the bias."""
    method = small(name, "tiny").eval()
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.inference_mode():
        answer = method.localize(images)
        reduce = torch.sum if answer.proposal is not None else torch.mean
        pooled = reduce(maps_of_all(answer), dim=(2, 3))
        logits = method(images)["logits"]
    torch.testing.assert_close(pooled + method.classifier.bias, logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_every_preset_builds(name: str, preset: str | None) -> None:
    method = build_method(name, "tiny", CLASSES, "multilabel", preset)
    assert method.options == METHODS[name].options_type.parse(
        METHODS[name].presets[preset] if preset else {}, "test"
    )
    assert "paper" in METHODS[name].presets
    images, targets = easy_batch()
    assert torch.isfinite(method.loss(method(images), targets)["classification"])


def test_spn_has_the_layers_of_the_authors() -> None:
    method = build_method("spn", "vgg16", 20, "multilabel")
    convolution = method.adaptation[0]
    assert (convolution.in_channels, convolution.out_channels) == (512, 1024)
    assert (convolution.kernel_size, convolution.padding) == ((3, 3), (1, 1))
    assert convolution.groups == 2
    assert convolution.bias is not None
    assert method.dropout.p == 0.5
    authors = build_method("spn", "tiny", 20, "multilabel", "authors").options
    assert isinstance(authors, SpnOptions)
    assert (authors.solver, authors.epsilon) == ("power", "area")


def test_overrides_come_after_the_preset() -> None:
    method = build_method("spn", "tiny", CLASSES, "multilabel", "tiny", {"epsilon": 2.5})
    assert isinstance(method, Spn)
    assert method.soft_proposal.options.epsilon == 2.5
    assert method.dropout.p == 0.0  # the preset's
    assert len(method.adaptation) == 0
    assert method.adaptation.out_channels == 128  # the backbone's own


def test_new_layers_are_all_but_the_backbone() -> None:
    for name in METHODS:
        method = small(name, "tiny")
        new = {id(p) for p in method.new_layers().parameters()}
        old = {id(p) for p in method.backbone.parameters()}
        assert new
        assert new | old == {id(p) for p in method.parameters()}
        assert not new & old


def test_half_precision_training_gives_finite_gradients() -> None:
    for name in METHODS:
        method = small(name, "tiny").train()
        images, targets = easy_batch()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = method(images)
        loss = method.loss({k: v.float() for k, v in outputs.items()}, targets)
        torch.stack(list(loss.values())).sum().backward()
        trained = [p for p in method.parameters() if p.requires_grad]
        assert all(torch.isfinite(p.grad).all() for p in trained)


def test_losses_and_scores_follow_their_formulas() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    p = logits.sigmoid()
    expected = -(labels * p.log() + (1 - labels) * (1 - p).log()).mean()
    torch.testing.assert_close(classification_loss(logits, labels, "multilabel"), expected)
    one = torch.tensor([[0.0, 0.0, 1.0]])
    expected = -logits.log_softmax(1)[0, 2]
    torch.testing.assert_close(classification_loss(logits, one, "singlelabel"), expected)
    nothing = torch.zeros(1, 3)
    assert classification_loss(logits, nothing, "singlelabel").item() == 0
    torch.testing.assert_close(class_scores(logits, "multilabel"), p)
    torch.testing.assert_close(class_scores(logits, "singlelabel"), logits.softmax(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sp", "tiny", 3, "multilabel"), r"unknown method 'sp'; did you mean 'spn'\?"),
        (("spn", "tinny", 3, "multilabel"), r"unknown backbone 'tinny'; did you mean 'tiny'\?"),
        (("spn", "tiny", 0, "multilabel"), r"0 classes given, at least 1"),
        (("spn", "tiny", 3, "multi"), r"unknown task 'multi'.*multilabel, singlelabel"),
        (
            ("spn", "tiny", 3, "multilabel", "autors"),
            r"unknown preset of method spn 'autors'; did you mean 'authors'\? "
            r"\(allowed: authors, authors-googlenet, paper, tiny\)",
        ),
        (
            ("spn", "tiny", 3, "multilabel", None, {"epsilom": 1}),
            r"method spn: unknown key 'epsilom'; did you mean 'epsilon'\?",
        ),
        (
            ("spn", "tiny", 3, "multilabel", None, {"solver": "exact"}),
            r"method spn: solver: .*'stationary' or 'power'; given 'exact'",
        ),
        (
            ("spn", "tiny", 3, "multilabel", None, {"groups": 3}),
            r"groups 3 must divide the 128 channels of the backbone",
        ),
    ],
)
def test_mistakes_are_named(arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_method(*arguments)
