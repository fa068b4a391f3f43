"""One copy of a served model: the boxes of the localizer, a queue with an end, and its health."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from samples import CLASSES, make_model, picture

from orchestrator.config.settings import Serving
from orchestrator.serve.replica import Replica
from workloads.errors import NotAnImage, NotFound, Overloaded, TooLarge
from workloads.images.decode import ImageLimits, decode
from workloads.models.localizer import Localizer

SERVING = Serving(max_queue=2, max_request_mb=1.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "m", seed=3)


@pytest.fixture
def replica(folder) -> Replica:
    return Replica(folder, "m@champion", SERVING, ImageLimits(max_pixels=50_000))


def same(one, other) -> bool:
    pairs = zip(
        (one.boxes_xyxy, one.scores, one.labels),
        (other.boxes_xyxy, other.scores, other.labels),
        strict=True,
    )
    sizes = (one.width, one.height) == (other.width, other.height)
    return sizes and all(np.array_equal(a, b) for a, b in pairs)


def test_it_introduces_itself_by_the_name_that_was_asked_for(replica, folder):
    digest = Localizer.load(folder).digest
    assert replica.info.model_dump() == {
        "name": "m@champion",
        "digest": digest,
        "method": "cam",
        "backbone": "tiny",
    }
    assert replica.classes == CLASSES
    assert replica.max_body_bytes == 1_572_864  # 1.5 MiB
    assert replica.ready


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_boxes_are_those_of_the_localizer_to_the_last_bit(replica, folder, seed):
    data = picture(seed)
    (expected,) = Localizer.load(folder).detect([decode(data, ImageLimits())])
    assert same(asyncio.run(replica.detect(data)), expected)


def test_boxes_do_not_depend_on_the_company(replica):
    shrunk = [replica._shrink(picture(seed)) for seed in range(4)]
    together = asyncio.run(replica.detect_batch(shrunk))
    for image, (ok, found) in zip(shrunk, together, strict=True):
        assert ok
        ((_, alone),) = asyncio.run(replica.detect_batch([image]))
        assert same(found, alone)


def test_a_photograph_waits_as_the_network_takes_it_and_remembers_its_size(replica):
    stream = io.BytesIO()
    Image.new("RGB", (200, 100)).save(stream, "PNG")
    shrunk = replica._shrink(stream.getvalue())
    assert shrunk.pixels.shape == (64, 64, 3)
    assert shrunk.pixels.dtype == np.uint8
    assert shrunk.size == (200, 100)


def test_an_upright_size_counts_for_a_turned_photograph(replica):
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6  # the camera was held upright
    Image.new("RGB", (200, 100)).save(stream, "JPEG", exif=exif)
    assert replica._shrink(stream.getvalue()).size == (100, 200)


@pytest.mark.parametrize(
    ("data", "kind"), [(b"", NotAnImage), (b"no image", NotAnImage), ("wide", TooLarge)]
)
def test_an_image_that_cannot_be_used_is_refused_and_harms_no_other(replica, data, kind):
    if data == "wide":
        stream = io.BytesIO()
        Image.new("RGB", (251, 200)).save(stream, "PNG")  # 50,200 pixels
        data = stream.getvalue()
    with pytest.raises(kind):
        asyncio.run(replica.detect(data))
    assert not replica._suspect
    assert asyncio.run(replica.detect(picture(1))).width > 0


class Gate:
    """Holds every forward pass until it is opened; fails if told to."""

    def __init__(self, replica: Replica) -> None:
        self.open, self.calls, self.error = threading.Event(), 0, None
        self._detect, self._warm_up = replica.localizer.detect, replica.localizer.warm_up
        self.warmed = 0

    def detect(self, images, sizes):
        self.calls += 1
        assert self.open.wait(20)
        if self.error:
            raise self.error
        return self._detect(images, sizes)

    def warm_up(self) -> None:
        self.warmed += 1
        if self.error:
            raise self.error
        self._warm_up()


@pytest.fixture
def gate(replica, monkeypatch) -> Iterator[Gate]:
    gate = Gate(replica)
    monkeypatch.setattr(replica.localizer, "detect", gate.detect)
    monkeypatch.setattr(replica.localizer, "warm_up", gate.warm_up)
    yield gate
    gate.open.set()


def test_more_than_the_queue_holds_is_refused_at_once(replica, gate):
    image = replica._shrink(picture(1))

    async def crowd():
        waiting = [asyncio.create_task(replica.detect_one(image)) for _ in range(3)]
        while not gate.calls:
            await asyncio.sleep(0.005)
        with pytest.raises(Overloaded, match=r"^too many images wait already \(serve\.max_queue\)"):
            await replica.detect_one(image)
        gate.open.set()
        return await asyncio.gather(*waiting)

    # one at work and two that wait: max_queue counts those that wait
    assert [ok for ok, _ in asyncio.run(crowd())] == [True] * 3
    assert gate.calls == 3


def test_a_refused_or_cancelled_request_leaves_its_place(replica, gate):
    image = replica._shrink(picture(1))

    async def leave():
        waiting = [asyncio.create_task(replica.detect_one(image)) for _ in range(3)]
        while not gate.calls:
            await asyncio.sleep(0.005)
        waiting[2].cancel()
        await asyncio.gather(waiting[2], return_exceptions=True)
        another = asyncio.create_task(replica.detect_one(image))
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.gather(waiting[0], waiting[1], another)

    assert [ok for ok, _ in asyncio.run(leave())] == [True] * 3
    assert replica._waiting == 0


def test_a_failed_pass_is_raised_and_makes_the_replica_suspect(replica, gate):
    gate.open.set()
    gate.error = RuntimeError("out of luck")
    with pytest.raises(RuntimeError, match="out of luck"):
        asyncio.run(replica.detect(picture(1)))
    with pytest.raises(RuntimeError, match="out of luck"):
        asyncio.run(replica.check_health())
    gate.error = None
    asyncio.run(replica.check_health())
    asyncio.run(replica.check_health())  # trusted again: no pass for nothing
    assert gate.warmed == 2


def test_a_healthy_replica_is_not_disturbed(replica, gate):
    gate.open.set()
    asyncio.run(replica.detect(picture(1)))
    asyncio.run(replica.check_health())
    assert gate.warmed == 0


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(NotFound) as caught:
        Replica(tmp_path / "none", "m", SERVING, ImageLimits())
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "none") in str(caught.value)
