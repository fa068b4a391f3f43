"""New champions are rolled out once they answer, and refused if they do not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.config.settings import Settings
from orchestrator.serve.api.host import ModelInfo
from orchestrator.serve.hosting import follower as module
from orchestrator.serve.hosting.follower import Follower
from orchestrator.serve.hosting.offers import Offer
from orchestrator.serve.hosting.roster import Roster
from workloads.errors import ClusterError, NotFound


def offer_of(version: int, *, follows: bool = True) -> Offer:
    info = ModelInfo(
        name="cats", version=str(version), digest=str(version) * 64, method="any", backbone="any"
    )
    return Offer(
        reference="cats@champion", folder=Path("m"), info=info, classes=("cat",), follows=follows
    )


class Registry:
    """A registry whose alias can be moved, and fail."""

    def __init__(self) -> None:
        self.version, self.error = 1, None

    def find(self, *_: object) -> SimpleNamespace:
        if self.error:
            raise self.error
        return SimpleNamespace(version=self.version, digest=str(self.version) * 64)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry()
    monkeypatch.setattr(module, "find_version", registry.find)
    monkeypatch.setattr(module, "make_offer", lambda *_, **__: offer_of(registry.version))
    return registry


def following(warmed: list[str], bad: tuple[str, ...] = (), **how: bool) -> Follower:
    def warm(offer: Offer) -> None:
        warmed.append(str(offer.info.version))
        if offer.info.version in bad:
            raise RuntimeError("the weights\nare gone")

    return Follower(Settings(), Roster([offer_of(1, **how)]), warm)


def test_a_new_version_is_warmed_and_then_answers(registry: Registry) -> None:
    warmed: list[str] = []
    follower = following(warmed)
    follower.step()
    assert warmed == []
    registry.version = 2
    follower.step()
    follower.step()
    assert warmed == ["2"]
    assert follower.roster.offer("cats").info.version == "2"
    assert follower.roster.is_ready()


def test_a_bad_version_is_refused_once_and_the_old_one_stays(registry: Registry) -> None:
    warmed: list[str] = []
    follower = following(warmed, bad=("2",))
    registry.version = 2
    follower.step()
    follower.step()
    assert warmed == ["2"]
    assert follower.roster.offer(None).info.version == "1"
    (status,) = follower.roster.statuses()
    assert status.refused == "version 2: the weights are gone"
    registry.version = 3
    follower.step()
    (status,) = follower.roster.statuses()
    assert (status.info.version, status.refused) == ("3", None)


@pytest.mark.parametrize("error", [ClusterError("away"), NotFound("no alias")])
def test_a_registry_that_is_away_changes_nothing(registry: Registry, error: Exception) -> None:
    follower = following([])
    registry.version, registry.error = 2, error
    follower.step()
    (status,) = follower.roster.statuses()
    assert (status.info.version, status.refused) == ("1", None)
    registry.error = None
    follower.step()
    assert follower.roster.offer(None).info.version == "2"


def test_a_model_that_does_not_follow_is_left_alone(registry: Registry) -> None:
    follower = following([], follows=False)
    registry.version = 2
    follower.step()
    assert follower.roster.offer(None).info.version == "1"


def test_an_unknown_name_is_said_with_the_nearest() -> None:
    roster = Roster([offer_of(1)])
    with pytest.raises(NotFound, match="unknown model 'cat'; did you mean 'cats'"):
        roster.offer("cat")
    assert not roster.is_ready()
