"""A job's own copies of recipe files, wherever its record is."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_job import request

from orchestrator.jobs.recipes import check_unchanged, chosen_recipes, starts_of
from orchestrator.jobs.record import Jobs
from workloads.artifacts import write_text
from workloads.errors import ConfigError, IntegrityError
from workloads.recipes.load import load_recipe
from workloads.storage.addresses import shown

TEXT = "base: digits-cam-tiny\nsummary: Weeds\n"


def test_a_copy_is_read_where_the_record_is(place: Path, tmp_path: Path) -> None:
    """In a bucket, too: by its address, as the words of the job name it."""
    (tmp_path / "my.yaml").write_text(TEXT)
    recipes, own = chosen_recipes([str(tmp_path / "my.yaml"), "digits-spn-tiny"], ())
    assert [recipe.name for recipe in recipes] == ["my", "digits-spn-tiny"]
    given = str(tmp_path / "my.yaml")
    assert [(one.given, one.content) for one in own] == [(given, TEXT.encode())]
    digests = {one.given: one.digest for one in own}
    contents = {one.given: one.content for one in own}
    job = Jobs(place / "jobs").create(request(recipes=digests), {}, contents)
    assert load_recipe(shown(job.recipe(given))) == recipes[0]
    check_unchanged(job, job.read().request.recipes)
    write_text(job.recipe(given), TEXT + "\n")
    with pytest.raises(IntegrityError, match=r"my\.yaml: was changed since job 'night'"):
        check_unchanged(job, digests)


def test_two_recipes_of_one_name_are_refused(tmp_path: Path) -> None:
    """They would have one copy; a name is that of the file."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my.yaml").write_text(TEXT)
    files = [str(tmp_path / folder / "my.yaml") for folder in ("a", "b")]
    with pytest.raises(ConfigError, match="two recipes are called 'my'"):
        chosen_recipes(files, ())


def test_what_a_recipe_starts_from_is_known(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(TEXT + "initial: /data/w.pth\nparts: {mask: random}\n")
    recipes, _ = chosen_recipes([str(tmp_path / "my.yaml")], ())
    assert starts_of(recipes) == ["/data/w.pth", "random"]
