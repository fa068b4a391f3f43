"""SPG: its layers, its losses by hand, its ablations, and that inference knows none of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from workloads.backbones.registry import BACKBONES
from workloads.errors import ConfigError
from workloads.methods.base import Targets
from workloads.methods.registry import build_method
from workloads.methods.spg import STAGES, Spg, SpgOptions

CLASSES = 3
BRANCHES = ("b2", "b1", "c")
TERMS = [f"guidance_{branch}" for branch in BRANCHES]


def spg(preset: str | None = "tiny", task: str = "multilabel", **options: object) -> Spg:
    method = build_method("spg", "tiny", CLASSES, task, preset, options)
    assert isinstance(method, Spg)
    return method


def batch(count: int = 4, height: int = 32, width: int = 32) -> tuple[Tensor, Targets]:
    return torch.randn(count, 3, height, width), Targets(torch.eye(CLASSES).repeat(2, 1)[:count])


def terms_of(method: Spg, images: Tensor, targets: Targets) -> dict[str, Tensor]:
    return method.loss(method(images, targets), targets)


@pytest.mark.parametrize(
    ("backbone", "inputs"),
    [
        ("vgg16", (512, 512, 512)),
        ("inception_v3", (288, 768, 768)),
        ("inception_v3_toolkit", (288, 768, 768)),
        ("resnet50_toolkit", (1024, 1024, 2048)),
    ],
)
def test_the_layers_are_those_of_the_paper(backbone: str, inputs: tuple[int, int, int]) -> None:
    options = SpgOptions()
    b1, b2, a = inputs
    with torch.device("meta"):  # shapes alone
        method = Spg(BACKBONES[backbone](), 1000, "singlelabel", options)
    assert shapes(method.adaptation) == [(1024, a, 3, 3), (1024, 1024, 3, 3)]
    assert method.classifier.weight.shape == (1000, 1024)
    guide = method.guide
    assert guide is not None
    assert shapes(guide.b1) == [(512, b1, 3, 3)]
    assert shapes(guide.b2) == [(512, b2, 3, 3)]
    assert shapes(guide.tails) == [(512, 512, 3, 3), (1, 512, 1, 1)]
    assert guide.c is not None
    assert shapes(guide.c) == [(512, 1024, 3, 3), (1, 512, 1, 1)]
    assert not any(isinstance(m, nn.Dropout) for m in method.new_layers().modules())


def shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(m.weight.shape) for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_the_ablations_have_the_parameters_that_they_should() -> None:
    full = parameters(spg())
    assert parameters(spg(guidance="plain")) == full - {n for n in full if n.startswith("guide.")}
    assert parameters(spg(guidance="no_c")) == full - {n for n in full if n.startswith("guide.c.")}
    assert parameters(spg(cascade=False)) == full
    second_tail = {n.replace("tails.0", "tails.1") for n in full if "tails.0" in n}
    assert len(second_tail) == 4
    assert parameters(spg(shared_tail=False)) == full | second_tail
    assert len(parameters(spg(c_convolutions=2))) == len(full) + 2


def test_plain_on_the_small_backbone_is_its_cam() -> None:
    """What the comparison of methods relies on: it has no plain version beside CAM."""
    plain = spg(guidance="plain")
    cam = build_method("cam", "tiny", CLASSES, "multilabel", "tiny")
    cam.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 64, 64)
    for method in (plain, cam):
        method.eval()
    assert torch.equal(plain(images)["logits"], cam(images)["logits"])
    maps = [m.localize(images).maps_of([[0, 1]] * 2) for m in (plain, cam)]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(*maps, strict=True))


def parameters(method: nn.Module) -> set[str]:
    return {name for name, _ in method.named_parameters()}


@pytest.mark.parametrize(
    ("guidance", "terms"), [("full", TERMS), ("no_c", TERMS[:2]), ("plain", [])]
)
def test_each_branch_adds_one_term(guidance: str, terms: list[str]) -> None:
    method = spg(guidance=guidance).train()
    assert set(terms_of(method, *batch())) == {"classification", *terms}


def example() -> tuple[dict[str, Tensor], Targets]:
    """One image, maps of 2x2. Attention to class 1 is 1, .3, .02, 0."""
    maps = torch.zeros(1, CLASSES, 2, 2)
    maps[0, 1] = torch.tensor([[100.0, 30.0], [2.0, 0.0]]) - 50
    outputs = {
        "logits": torch.zeros(1, CLASSES),
        "class_maps": maps,
        "b2": torch.tensor([[[1.0, -1.0], [-4.0, 0.1]]]),  # maps .73, .27, .02, .52
        "b1": torch.tensor([[[2.0, -3.0], [-3.0, 3.0]]]),  # maps .88, .05, .05, .95
        "c": torch.tensor([[[0.5, -0.5], [0.25, 2.0]]]),
    }
    return outputs, Targets(torch.tensor([[0.0, 1.0, 0.0]]))


def cross_entropy(*pixels: tuple[float, int]) -> float:
    """Mean over (logit, object or not)."""
    terms = [math.log1p(math.exp(-x if is_object else x)) for x, is_object in pixels]
    return sum(terms) / len(terms)


def test_every_loss_term_by_hand() -> None:
    outputs, targets = example()
    terms = spg(min_object=0).loss(outputs, targets)
    # Attention above .7 or below .1 teaches B2.
    b2 = cross_entropy((1.0, 1), (-4.0, 0), (0.1, 0))
    # B2's map above .5 or below .05 teaches B1.
    b1 = cross_entropy((2.0, 1), (-3.0, 0), (3.0, 1))
    # Means .81, .16, .03, .74 of both maps above .7 or below .1 teach C.
    c = cross_entropy((0.5, 1), (0.25, 0), (2.0, 1))
    assert terms["classification"].item() == pytest.approx(math.log(2))
    assert [terms[name].item() for name in TERMS] == pytest.approx([b2, b1, c], rel=1e-6)


def test_without_the_cascade_attention_teaches_b1_too() -> None:
    outputs, targets = example()
    terms = spg(min_object=0, cascade=False).loss(outputs, targets)
    b1 = cross_entropy((2.0, 1), (-3.0, 0), (3.0, 0))
    assert terms["guidance_b1"].item() == pytest.approx(b1, rel=1e-6)
    cascade = spg(min_object=0).loss(outputs, targets)
    assert terms["guidance_b2"] == cascade["guidance_b2"]
    assert terms["guidance_c"] == cascade["guidance_c"]


def test_every_threshold_is_used_where_it_is_named() -> None:
    outputs, targets = example()
    before = spg(min_object=0).loss(outputs, targets)
    for branch, changed in (
        ("b2", {"attention_high": 0.2}),
        ("b2", {"attention_low": 0.01}),
        ("b1", {"b2_high": 0.6}),
        ("b1", {"b2_low": 0.3}),
        ("c", {"fused_high": 0.8}),
        ("c", {"fused_low": 0.2}),
    ):
        terms = spg(min_object=0, **changed).loss(outputs, targets)
        assert {n for n in terms if terms[n] != before[n]} == {f"guidance_{branch}"}


def test_no_gradient_passes_through_a_mask() -> None:
    outputs, targets = example()
    live = {name: value.requires_grad_() for name, value in outputs.items()}
    terms = spg().loss(live, targets)
    for branch in BRANCHES:
        found = torch.autograd.grad(
            terms[f"guidance_{branch}"],
            list(live.values()),
            retain_graph=True,
            allow_unused=True,
        )
        assert [n for n, g in zip(live, found, strict=True) if g is not None] == [branch]


def test_what_the_branches_learn_reaches_the_backbone() -> None:
    images, targets = batch()
    depths = {"guidance_b1": 3, "guidance_b2": 4, "guidance_c": 5, "classification": 5}
    for term, depth in depths.items():  # B1 reads the third of five stages, B2 the fourth
        method = spg().train()
        terms_of(method, images, targets)[term].backward()
        convolutions = [m for m in method.backbone.modules() if isinstance(m, nn.Conv2d)]
        assert [learns(c) for c in convolutions] == [True] * depth + [False] * (5 - depth)
        assert learns(method.classifier) is (term == "classification")
        assert method.guide is not None
        assert learns(method.guide) is (term != "classification")


def test_tails_are_learnt_together_or_apart() -> None:
    images, targets = batch()
    learnt = {}
    for shared in (True, False):
        for term in ("guidance_b1", "guidance_b2"):
            method = spg(shared_tail=shared).train()
            terms_of(method, images, targets)[term].backward()
            assert method.guide is not None
            learnt[shared, term] = [learns(tail) for tail in method.guide.tails]
    assert learnt[True, "guidance_b1"] == learnt[True, "guidance_b2"] == [True]
    assert learnt[False, "guidance_b1"] == [True, False]
    assert learnt[False, "guidance_b2"] == [False, True]


def learns(module: nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def test_full_and_plain_localize_with_the_same_bits() -> None:
    full, plain = spg("paper", channels=32).eval(), spg("paper", channels=32, guidance="plain")
    state = full.inference_state()
    assert state
    assert not any(name.startswith("guide") for name in state)
    assert plain.inference_state().keys() == state.keys()
    plain.load_state_dict(state)
    images = torch.randn(2, 3, 40, 24)
    with torch.inference_mode():
        one = full.localize(images)
        for other in (plain.eval(), full.without_training_parts()):
            two = other.localize(images)
            assert torch.equal(one.scores, two.scores)
            for (a,), (b,) in zip(
                one.maps_of([[0, 2]] * 2), two.maps_of([[0, 2]] * 2), strict=True
            ):
                assert torch.equal(a, b)
    assert full.guide is None


@pytest.mark.parametrize("task", ["multilabel", "singlelabel"])
def test_an_image_without_a_label_is_in_no_mask(task: str) -> None:
    method = spg(task=task).train()
    images, _ = batch(1)
    targets = Targets(torch.zeros(1, CLASSES))
    terms = terms_of(method, images, targets)
    assert [terms[name].item() for name in TERMS] == [0, 0, 0]
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("preset", ["paper", "authors", "tiny"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_images_do_no_harm(preset: str, value: float) -> None:
    method = spg(preset, **({} if preset == "tiny" else {"channels": 8, "guidance_channels": 8}))
    images = torch.full((1, 3, 16, 24), value)
    terms = terms_of(method.train(), images, Targets(torch.tensor([[0.0, 1.0, 0.0]])))
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_masks_of_an_image_depend_on_no_other_image_of_the_batch() -> None:
    outputs, targets = example()
    faint = {**outputs, "b2": outputs["b2"] - 2.0}  # nothing above .5: the threshold is lowered
    method = spg()
    alone = [method._masks(one, targets) for one in (faint, outputs)]
    for order in ((0, 1), (1, 0)):
        both = [(faint, outputs)[i] for i in order]
        together = {n: torch.cat([one[n] for one in both]) for n in outputs}
        masks = method._masks(together, Targets(targets.labels.repeat(2, 1)))
        for name, mask in masks.items():
            assert torch.equal(mask, torch.cat([alone[i][name] for i in order]))
    assert alone[0]["b1"].eq(1).any()
    assert not torch.equal(alone[0]["b1"], alone[1]["b1"])


def test_in_preset_authors_a_faint_image_changes_the_masks_of_those_after_it() -> None:
    outputs, targets = example()
    # 0.4 at most: 0.7 * 0.4 = 0.28 becomes the threshold, which B2's 0.27 and less do not exceed.
    faint = {**outputs, "b2": torch.full((1, 2, 2), -0.405)}
    both = {n: torch.cat([faint[n], outputs[n]]) for n in outputs}
    twice = Targets(targets.labels.repeat(2, 1))
    between = {**outputs, "b2": torch.tensor([[[1.0, -0.8], [-4.0, 0.1]]])}  # .73 .31 .02 .52
    both["b2"] = torch.cat([faint["b2"], between["b2"]])
    kept, forgotten = (
        spg(min_object=30_000, min_object_lasts=lasts)._masks(both, twice)["b1"][1]
        for lasts in (True, False)
    )
    # Half of the pixels are fewer than 30,000 of 50,176, so alone it takes 0.7 * 0.73 = 0.51.
    assert forgotten.tolist() == [[1, 255], [0, 1]]
    assert kept.tolist() == [[1, 1], [0, 1]]


def test_dropout_is_before_every_layer_of_spg_a_and_in_training_only() -> None:
    method = spg(channels=8, dropout=0.5, guidance="plain")
    other = spg(channels=8, guidance="plain")
    other.load_state_dict(method.state_dict())
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(method.eval()(images)["logits"], other.eval()(images)["logits"])
    dropped: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _module, inputs: dropped.append(inputs[0]))
        for layer in method.adaptation
        if isinstance(layer, nn.Conv2d)
    ]
    method.dropout.train()
    with torch.no_grad():
        for tensor in method.backbone.buffers():
            assert tensor.isfinite().all()
        method.adaptation.apply(_ones)
        method.backbone = nn.Sequential()  # type: ignore[assignment]
        last = method.features(torch.ones(1, 128, 16, 16))
    assert len(dropped) == len(hooks) == 2
    for features in (*dropped, last):
        assert abs(float((features == 0).float().mean()) - 0.5) < 0.05
    assert set(dropped[0].unique().tolist()) == {0.0, 2.0}


def _ones(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.constant_(module.weight, 1.0)


def test_c_may_have_another_width_than_b() -> None:
    method = spg(guidance_channels=16, c_channels=8)
    assert method.guide is not None
    assert method.guide.c is not None
    assert [s[0] for s in shapes(method.guide.c)] == [8, 1]
    assert [s[0] for s in shapes(method.guide.tails)] == [16, 1]


def test_class_maps_are_raw_or_normalised_at_their_own_size() -> None:
    raw, unit = spg().eval(), spg(map_range="unit").eval()
    unit.load_state_dict(raw.state_dict())
    images = torch.randn(2, 3, 32, 48)
    with torch.inference_mode():
        before = raw.localize(images).maps_of([[0, 2], [1]])
        after = unit.localize(images).maps_of([[0, 2], [1]])
    for (maps,), (normalised,) in zip(before, after, strict=True):
        assert normalised.shape == maps.shape
        for one, other in zip(maps, normalised, strict=True):
            torch.testing.assert_close(other, (one - one.min()) / (one.max() - one.min()))


@pytest.mark.parametrize("scale", [0.0, 1e-9])
def test_attention_of_rounding_noise_teaches_nothing(scale: float) -> None:
    outputs, targets = example()
    outputs["class_maps"] *= scale
    assert all(mask.eq(255).all() for mask in spg()._masks(outputs, targets).values())


def test_padding_is_in_no_mask() -> None:
    outputs, targets = example()
    padded = targets._replace(extents=torch.tensor([[1.0, 0.5]]))
    for mask in spg()._masks(outputs, padded).values():
        assert mask[0, :, 1].tolist() == [255, 255]
        assert mask[0, :, 0].ne(255).any()


@pytest.mark.parametrize(
    ("mask_size", "size"), [("input", (48, 32)), (20, (20, 20)), ("map", (12, 8))]
)
def test_branches_and_masks_meet_at_the_chosen_size(
    mask_size: object, size: tuple[int, int]
) -> None:
    method = spg(mask_size=mask_size).train()
    images, targets = batch(2, 48, 32)
    outputs = method(images, targets)
    assert not outputs["class_maps"].requires_grad
    masks = method._masks(outputs, targets)
    assert list(masks) == list(BRANCHES)
    for branch, mask in masks.items():
        assert mask.shape == outputs[branch].shape == (2, *size)


def test_branches_of_different_sizes_meet_at_the_learners_own() -> None:
    """As on VGG16, where B1 reads a map of twice the side."""
    outputs, targets = example()
    outputs["b1"] = torch.randn(1, 4, 4)
    for cascade in (True, False):
        masks = spg(cascade=cascade)._masks(outputs, targets)
        assert {n: tuple(m.shape[1:]) for n, m in masks.items()} == {
            "b2": (2, 2),
            "b1": (4, 4),
            "c": (2, 2),
        }


def test_half_precision_gives_the_terms_of_full_precision_nearly() -> None:
    images, targets = batch()
    method = spg().train()
    expected = terms_of(method, images, targets)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = method(images, targets)
    terms = method.loss({n: v.float() for n, v in outputs.items()}, targets)
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())
    # A pixel near a threshold may change sides.
    for name, term in expected.items():
        assert terms[name].item() == pytest.approx(term.item(), rel=0.1), name


def test_the_presets_are_what_is_published() -> None:
    thresholds = ("attention_low", "attention_high", "b2_low", "b2_high", "fused_low", "fused_high")
    paper, authors = (spg(p, channels=8, guidance_channels=8).options for p in ("paper", "authors"))
    assert [getattr(paper, t) for t in thresholds] == [0.1, 0.7, 0.05, 0.5, 0.1, 0.7]
    assert [getattr(authors, t) for t in thresholds] == [0.05, 0.7, 0.05, 0.5, 0.1, 0.7]
    assert (paper.mask_size, paper.min_object, paper.align_corners) == ("input", 0, False)
    assert (authors.mask_size, authors.min_object, authors.align_corners) == (224, 30, True)
    assert (paper.min_object_lasts, paper.map_range) == (False, "raw")
    assert (authors.min_object_lasts, authors.map_range) == (True, "unit")
    assert set(thresholds) <= set(Spg.search_space.training)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"b2_high": 0.05}, r"method spg: b2_high: .*must be above b2_low, which is 0\.05"),
        ({"fused_low": 0.8}, r"method spg: fused_high: .*must be above fused_low, which is 0\.8"),
        ({"mask_size": "inputs"}, r"mask_size: .*'input', 'map' or a whole number above 0"),
        ({"mask_size": 0}, r"mask_size: .*'input', 'map' or a whole number above 0"),
        ({"mask_size": True}, r"mask_size: .*'input', 'map' or a whole number above 0"),
        ({"guidance": "none"}, r"guidance: .*'full', 'no_c' or 'plain'; given 'none'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spg(**options)


def test_every_backbone_has_two_stages_the_shallower_first() -> None:
    assert set(STAGES) == set(BACKBONES)
    for name, stages in STAGES.items():
        parts, objects = (list(BACKBONES[name].stage_channels).index(stage) for stage in stages)
        assert parts < objects


def test_a_backbone_without_known_stages_is_refused_with_guidance_only() -> None:
    backbone = BACKBONES["tiny"]()
    backbone.name = "other"  # type: ignore[misc]
    with pytest.raises(ConfigError, match=r"in backbone other; use one of tiny, .* or guidance pl"):
        Spg(backbone, CLASSES, "multilabel", SpgOptions())
    Spg(backbone, CLASSES, "multilabel", SpgOptions(guidance="plain"))
