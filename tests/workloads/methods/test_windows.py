"""Where a sliding network looks: the paper's own numbers, padding, boxes and maps by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.backbones.registry import BACKBONES
from workloads.methods.oquab.scan import Scan, highest_map
from workloads.methods.oquab.windows import Frame, Windows, map_rows

SLIDING = [name for name, kind in BACKBONES.items() if kind.has_fully_connected]
# Centres at 2, 4, 6, ... pixels.
WINDOWS = Windows(side=4, step=2)


@pytest.mark.parametrize("name", SLIDING)
def test_windows_are_those_of_the_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BACKBONES[name], "hidden_channels", 8)
    backbone = BACKBONES[name](fully_connected=True)
    before = {n: t.clone() for n, t in backbone.state_dict().items()}
    windows = Windows.of(backbone)
    for positions in (1, 2, 9):
        side = windows.side + (positions - 1) * windows.step
        assert map_rows(backbone, side) == backbone.grid + positions - 1
        assert map_rows(backbone, side + windows.step) == backbone.grid + positions
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, before[key]), key


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_the_papers_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 3: 2x2 scores for 256x256 pixels, 58x26 for 2048x1024, windows of 224, stride 32."""
    monkeypatch.setattr(BACKBONES[name], "hidden_channels", 8)
    backbone = BACKBONES[name](fully_connected=True)
    assert Windows.of(backbone).step == 32
    assert Windows.of(backbone).side in (223, 224)  # AlexNet's convolutions leave out a pixel
    for pixels, positions in ((224, 1), (256, 2), (2048, 58), (1024, 26)):
        assert map_rows(backbone, pixels) - backbone.grid + 1 == positions


def test_images_smaller_than_a_window_are_filled_up() -> None:
    images = torch.ones(1, 3, 3, 6)
    filled = WINDOWS.fill(images)
    assert filled.shape == (1, 3, 4, 6)
    assert torch.equal(filled[:, :, :3], images)
    assert not filled[:, :, 3:].any()
    assert WINDOWS.fill(filled) is filled


def test_windows_count_where_their_centre_or_all_of_them_is_on_the_image() -> None:
    positions = torch.tensor([4, 3])
    pixels = torch.tensor([[10.0, 8.0], [6.0, 5.9], [1.0, 0.0]])
    # Centres 2, 4, 6, 8 down and 2, 4, 6 across; ends 4, 6, 8, 10 and 4, 6, 8.
    assert WINDOWS.inside(pixels, positions, "centre").tolist() == [[4, 3], [3, 2], [1, 1]]
    assert WINDOWS.inside(pixels, positions, "window").tolist() == [[4, 3], [2, 1], [1, 1]]
    # 0.7 of 20 pixels in single precision is not quite 14.
    share = torch.tensor([[0.7, 0.7]]) * 20 - 1e-6
    assert WINDOWS.inside(share, torch.tensor([9, 9]), "window").tolist() == [[6, 6]]


def test_windows_in_boxes() -> None:
    boxes = torch.tensor(
        [
            [3.0, 1.0, 6.0, 3.0, 0.0],  # across 4, not 6 (half-open); down 2
            [0.0, 5.0, 0.5, 5.5, 2.0],  # between centres: the nearest is 2 across, 6 down
            [8.0, 7.0, 9.0, 8.5, 2.0],  # beyond what is inside: 4 across and 6 down
        ]
    )
    found = WINDOWS.in_boxes(boxes, torch.tensor([3, 2]), (4, 3), 3)
    expected = torch.zeros(3, 4, 3, dtype=torch.bool)
    expected[0, 0, 1] = True
    expected[2, 2, 0] = True
    expected[2, 2, 1] = True
    # The third box has the centre 8 down (row 3) within, too, but none across.
    expected[2, 3, 1] = True
    assert torch.equal(found, expected)
    assert not WINDOWS.in_boxes(torch.zeros(0, 5), torch.tensor([4, 3]), (4, 3), 3).any()


def test_a_map_of_windows_by_hand() -> None:
    scores = torch.tensor([[[0.0, 10.0, 20.0]]])
    # Cells of 8 pixels have their centres at 1, 3, 5 and 7.
    centred = Frame((4, 8), (1.0, 1.0), (1, 3), "centres")
    assert WINDOWS.place(scores, centred, (1, 4)).tolist() == [[[0.0, 5.0, 15.0, 20.0]]]
    stretched = Frame((4, 8), (1.0, 1.0), (1, 3), "stretch")
    assert WINDOWS.place(scores, stretched, (1, 4)).tolist() == [[[0.0, 6.25, 13.75, 20.0]]]
    # Three quarters are image, with two windows: 10 is the last that is read.
    padded = Frame((4, 8), (1.0, 0.75), (1, 2), "stretch")
    found = WINDOWS.place(scores, padded, (1, 4))[0, 0]
    torch.testing.assert_close(found, torch.tensor([0.0, 5.0, 10.0, 10.0]))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    share=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    placement=st.sampled_from(["stretch", "centres"]),
    rule=st.sampled_from(["centre", "window"]),
)
def test_padding_never_wins(
    seed: int, rows: int, columns: int, share: tuple[float, float], placement: str, rule: str
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scans = []
    for scale in (1, 2):
        size = (4 + 2 * (rows * scale - 1), 4 + 2 * (columns * scale - 1))
        scores = torch.randn(1, 2, rows * scale, columns * scale, generator=generator)
        pixels = torch.tensor([[share[0] * size[0], share[1] * size[1]]])
        inside = WINDOWS.inside(pixels, torch.tensor(scores.shape[2:]), rule)
        scan = Scan(scores, size, inside)
        n, m = inside[0].tolist()
        expected = scores[0, :, :n, :m].amax((1, 2))
        scores.masked_fill_(~scan.counts, 1e6)
        torch.testing.assert_close(scan.best()[0], expected)
        scans.append(scan)
    found = highest_map(scans, WINDOWS, placement, 0, [1, 0], share)
    assert found.shape == (2, rows * 2, columns * 2)
    best = torch.stack([scan.best()[0, [1, 0]] for scan in scans]).amax(0)
    assert (found.amax((1, 2)) <= best + 1e-5).all()
    for one in found:
        y, x = divmod(int(one.argmax()), one.shape[1])
        # The cell begins on the image; if all cells are equal, that is the first one.
        assert y / one.shape[0] < share[0]
        assert x / one.shape[1] < share[1]


def test_the_best_window_alone_gets_the_gradient() -> None:
    scores = torch.ones(1, 1, 3, 3, requires_grad=True)  # all the same: one wins all the same
    Scan(scores, (8, 8), torch.tensor([[3, 3]])).best().backward()
    assert scores.grad is not None
    assert sorted(scores.grad.flatten().tolist()) == [0.0] * 8 + [1.0]
