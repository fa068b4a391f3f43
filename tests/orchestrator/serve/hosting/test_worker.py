"""One process that answers for models: batches, bad images, models that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from samples import CLASSES, make_model, picture

from orchestrator.config.settings import Serving, Settings
from orchestrator.serve.api.host import Ask
from orchestrator.serve.hosting.answers import MOST_CLASSES, wanted_of
from orchestrator.serve.hosting.offers import Offer, make_offer, make_offers, public_name
from orchestrator.serve.hosting.worker import Job, Worker, find_each
from workloads.errors import ConfigError, IntegrityError, NotAnImage, Overloaded
from workloads.images.decode import ImageLimits, decode
from workloads.localization.candidates import Candidates
from workloads.models.localizer import Localizer

MACHINE = Settings(cluster="inline")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "m", seed=3)


@pytest.fixture(scope="module")
def offer(folder: Path) -> Offer:
    return make_offer(MACHINE, "m", str(folder))


class Picky(Localizer):
    """Fails on images with a pixel of 13, and tells which batches it was given."""

    def candidates(self, images: Sequence[np.ndarray], *args: object, **options: object):
        self.batches.append(len(images))
        if any((image == 13).any() for image in images):
            raise RuntimeError("unlucky")
        return super().candidates(images, *args, **options)


@pytest.fixture
def picky(folder: Path) -> Picky:
    found = Picky.load(folder)
    found.batches = []
    return found


def jobs(offer: Offer, picky: Picky, *values: int, asks: Sequence[Ask] = ()) -> list[Job]:
    return [
        Job(
            offer, picky, asks[i] if asks else Ask(), np.full((64, 64, 3), value, np.uint8),
            (30 + i, 70), 1, None, 0.0, {},
        )
        for i, value in enumerate(values)
    ]  # fmt: skip


def test_a_good_batch_is_one_forward_pass(offer: Offer, picky: Picky) -> None:
    results = find_each(jobs(offer, picky, 1, 2, 3), lambda _: None)
    assert [answer.detections.width for answer, _ in results] == [30, 31, 32]
    assert picky.batches == [3]


def test_one_bad_image_fails_alone(offer: Offer, picky: Picky) -> None:
    failed: list[Localizer] = []
    results = find_each(jobs(offer, picky, 1, 13, 3), failed.append)
    assert [error is None for _, error in results] == [True, False, True]
    assert failed == [picky]


def test_of_which_other_things_are_wanted_are_no_batch(offer: Offer, picky: Picky) -> None:
    results = find_each(jobs(offer, picky, 1, 2, asks=[Ask(), Ask(maps=True)]), lambda _: None)
    assert picky.batches == [1, 1]
    assert [answer.candidates is None for answer, _ in results] == [True, False]


def answer(offer: Offer, data: bytes, ask: Ask = Ask(), worker: Worker | None = None):  # noqa: B008
    return asyncio.run((worker or Worker(Serving(), ImageLimits())).answer(offer, data, ask))


def test_a_choice_is_that_of_an_export(offer: Offer, folder: Path) -> None:
    data = picture(5)
    localizer = Localizer.load(folder)
    (whole,) = localizer.candidates([decode(data, ImageLimits())], floor=0, most=9, keep_maps=True)
    own = answer(offer, data)
    assert len(own.detections) > 3
    some = answer(offer, data, Ask(max_detections=2))
    np.testing.assert_array_equal(some.detections.scores, own.detections.scores[:2])
    one = answer(offer, data, Ask(classes=(CLASSES[1],)))
    assert set(one.detections.labels.tolist()) == {1}
    assert one.present.labels.tolist() == [1]
    low, high = sorted(whole.scores)[0], sorted(whole.scores)[-1]
    best = answer(offer, data, Ask(min_score=float(high)))
    assert best.present.labels.tolist() == [int(whole.labels[whole.scores.argmax()])]
    assert len(answer(offer, data, Ask(min_score=float(low))).present.labels) == len(CLASSES)
    cut = answer(offer, data, Ask(cutoff=0.7))
    expected = whole.recut(localizer.card.cutoffs.model_copy(update={"cutoff": 0.7}))
    np.testing.assert_array_equal(cut.detections.boxes_xyxy, expected.detections_at(0.2).boxes_xyxy)
    assert cut.cutoffs.cutoff == 0.7
    assert cut.candidates is None


def test_maps_are_of_classes_below_the_score_too(offer: Offer) -> None:
    found = answer(offer, picture(5), Ask(maps=True, min_score=0.99))
    assert isinstance(found.candidates, Candidates)
    assert len(found.present.labels) == 0
    assert wanted_of(Ask(maps=True)).floor < 0.2
    assert wanted_of(Ask(min_score=0.0)).most == MOST_CLASSES  # as many as there are would cost


def test_an_overlay_is_a_picture(offer: Offer) -> None:
    found = answer(offer, picture(5), Ask(overlay=True))
    assert found.overlay is not None
    drawn = decode(found.overlay, ImageLimits())
    assert drawn.shape[1] / drawn.shape[0] == pytest.approx(
        found.detections.width / found.detections.height, rel=0.05
    )
    assert answer(offer, picture(5)).overlay is None


def test_a_wrong_question_is_refused_before_the_image_is_looked_at(offer: Offer) -> None:
    with pytest.raises(ConfigError, match="unknown class 'rig'; did you mean 'ring'"):
        answer(offer, b"no image", Ask(classes=("rig",)))
    with pytest.raises(ConfigError, match="cutoff"):
        answer(offer, b"no image", Ask(cutoff=1.5))
    with pytest.raises(NotAnImage):
        answer(offer, b"no image")


def test_the_model_that_was_unused_for_longest_leaves(tmp_path: Path) -> None:
    offers = [
        make_offer(MACHINE, str(n), str(make_model(tmp_path / str(n), seed=n))) for n in range(3)
    ]
    worker, loaded = Worker(Serving(max_loaded=2), ImageLimits()), []
    load = worker._load
    worker._load = lambda offer: loaded.append(offer.name) or load(offer)  # type: ignore

    async def use(*numbers: int) -> None:
        for number in numbers:
            await worker.localizer(offers[number])

    asyncio.run(use(0, 1, 0, 2, 0, 1))
    assert loaded == ["0", "1", "2", "1"]


def test_a_model_whose_files_changed_is_not_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer = make_offer(MACHINE, "m", str(make_model(tmp_path / "m", seed=1)))
    make_model(tmp_path / "other", seed=2)
    moved = offer.model_copy(update={"folder": tmp_path / "other"})
    with pytest.raises(IntegrityError, match="was changed; restore it"):
        asyncio.run(Worker(Serving(), ImageLimits()).localizer(moved))
    with pytest.raises(Overloaded, match=r"model 'm' cannot be loaded; tell") as caught:
        answer(moved, picture(0))
    assert str(tmp_path) not in str(caught.value)
    assert str(tmp_path) in capsys.readouterr().err


def test_offers_have_one_name_each(folder: Path) -> None:
    offers = make_offers(MACHINE, str(folder), {"also": str(folder)})
    assert [offer.name for offer in offers] == ["m", "also"]
    assert offers[0].classes == CLASSES
    with pytest.raises(ConfigError, match=r"'m' is the first model's name"):
        make_offers(MACHINE, str(folder), {"m": str(folder)})
    with pytest.raises(ConfigError, match=r"--follow-champion: .* give NAME@ALIAS"):
        make_offers(MACHINE, str(folder), {}, follow=True)
    assert public_name(str(folder)) == "m"
