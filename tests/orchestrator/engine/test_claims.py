"""A folder belongs to one request, and what differs from another one is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.claims import REQUEST, Verb, claim, differences, is_finished
from orchestrator.engine.leases import LEASE
from workloads.artifacts import read_json, seal, write_json
from workloads.errors import Conflict

VERB = Verb("ingest", "shards", "choose another --out")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def own(out: Path, request: dict[str, object], **options: object) -> None:
    with claim(out, request, VERB, **options):
        pass


def test_a_request_is_written_first_and_finished_when_sealed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with claim(out, {"a": 1}, VERB):
        assert not is_finished(out, {"a": 1}, VERB)
    own(out, {"a": 1})
    seal(out)
    assert is_finished(out, {"a": 1}, VERB)


def test_neither_request_nor_lease_is_part_of_the_content(tmp_path: Path) -> None:
    digests = set()
    for name in ("here", "there"):
        with claim(tmp_path / name, {"root": str(tmp_path / name)}, VERB):
            digests.add(seal(tmp_path / name)["digest"])
    assert len(digests) == 1


def test_another_request_is_refused_with_what_differs_and_the_verbs_advice(tmp_path: Path) -> None:
    own(tmp_path, {"trials": 30, "data": {"root": "here", "split": "val"}})
    with pytest.raises(Conflict) as refused:
        own(tmp_path, {"trials": 20, "data": {"root": "there", "split": "val"}})
    assert str(refused.value) == (
        f'{tmp_path}: holds shards of another request (data.root: "here" -> "there"; '
        "trials: 30 -> 20); choose another --out"
    )


def test_places_are_kept_and_decide_nothing(tmp_path: Path) -> None:
    verb = Verb("ingest", "shards", "choose another --out", places=("root",))
    for sealed in (False, True):
        for place in ("here", "there"):
            with claim(tmp_path, {"root": place, "a": 1}, verb):
                pass
        assert read_json(tmp_path / REQUEST)["root"] == "there"
        if not sealed:
            seal(tmp_path)
    assert is_finished(tmp_path, {"a": 1, "root": "elsewhere"}, verb)
    with pytest.raises(Conflict, match="a: 1 -> 2"):
        is_finished(tmp_path, {"a": 2, "root": "elsewhere"}, verb)


def test_a_finished_folder_of_another_request_is_refused_too(tmp_path: Path) -> None:
    own(tmp_path, {"a": 1})
    seal(tmp_path)
    with pytest.raises(Conflict, match="a: 1 -> 2"):
        is_finished(tmp_path, {"a": 2}, VERB)


def test_an_unfinished_folder_follows_what_may_change(tmp_path: Path) -> None:
    own(tmp_path, {"listing": "a" * 64, "b": 1})
    own(tmp_path, {"listing": "c" * 64, "b": 1}, may_change=["listing"])
    with pytest.raises(Conflict, match="b: 1 -> 2"):
        own(tmp_path, {"listing": "c" * 64, "b": 2}, may_change=["listing"])
    seal(tmp_path)
    with pytest.raises(Conflict, match="listing: other content"):
        own(tmp_path, {"listing": "d" * 64, "b": 1}, may_change=["listing"])


def test_a_folder_with_other_things_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    write_json(tmp_path / "precious.json", 1)
    with pytest.raises(Conflict, match="holds something else than shards; choose another --out"):
        own(tmp_path, {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["precious.json"]
    file = tmp_path / "precious.json"
    with pytest.raises(Conflict, match="holds something else"):
        own(file, {"a": 1})


def test_what_a_killed_writer_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".request.json.0.tmp").write_text("{")
    own(tmp_path, {"a": 1})


def test_while_it_is_owned_nobody_else_gets_in(tmp_path: Path) -> None:
    with (
        claim(tmp_path, {"a": 1}, VERB),
        pytest.raises(Conflict, match=r"'wsol ingest' works there \(process \d+ on .*wait for it"),
    ):
        own(tmp_path, {"a": 1})
    assert not (tmp_path / LEASE).exists()
    own(tmp_path, {"a": 1})


def test_many_differences_are_counted(tmp_path: Path) -> None:
    own(tmp_path, {str(i): 0 for i in range(8)})
    with pytest.raises(Conflict, match="4: 0 -> 1; and 3 more"):
        own(tmp_path, {str(i): 1 for i in range(8)})


@given(JSON, JSON)
def test_equal_values_and_only_those_have_no_differences(old: object, new: object) -> None:
    assert differences(old, old) == []
    if not (isinstance(old, dict) and isinstance(new, dict)):
        one_is_bool = isinstance(old, bool) != isinstance(new, bool)
        assert bool(differences(old, new)) == (old != new or one_is_bool)


def test_off_is_not_zero_and_a_whole_number_is_one() -> None:
    assert differences({"a": False}, {"a": 0}) == ["a: false -> 0"]
    assert differences({"a": 1}, {"a": 1.0}) == []


def test_tuples_are_lists_and_missing_keys_are_null() -> None:
    assert differences({"a": (1, 2)}, {"a": [1, 2]}) == []
    assert differences({}, {"a": 1}) == ["a: null -> 1"]
