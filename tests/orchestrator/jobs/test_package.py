"""The code that travels: the packages alone, under a name of their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.jobs import package as module
from orchestrator.jobs.package import PACKAGES, package
from orchestrator.provenance import TRAVELLED, git_state, travelled_state
from workloads.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def made_tree(root: Path) -> Path:
    for name in PACKAGES:
        (root / name / "deep").mkdir(parents=True)
        (root / name / "__init__.py").write_text("")
        (root / name / "deep" / "a.yaml").write_text(f"name: {name}")
    for outside in ("data/x.jpg", ".git/config", ".env", "mlflow.db", "workloads/.token"):
        path = root / outside
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret")
    compiled = root / "workloads" / "__pycache__" / "a.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_text("x")
    (root / "workloads" / "link").symlink_to(root / "data")
    (root / "workloads" / "link.txt").symlink_to(root / ".env")
    return root


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_only_the_packages_travel(tmp_path: Path) -> None:
    found = package(made_tree(tmp_path / "tree"), tmp_path / "cache")
    files = [f"{name}/{file}" for name in PACKAGES for file in ("__init__.py", "deep/a.yaml")]
    assert names(found.folder) == sorted([*files, TRAVELLED])
    assert found.files == 6
    assert found.folder.name == found.digest[:16]


def test_sent_code_knows_its_checkout_and_is_the_same_when_it_is_sent_on(tmp_path: Path) -> None:
    found = package(cache=tmp_path)
    assert travelled_state(found.folder) == git_state(ROOT)
    assert package(found.folder, tmp_path).digest == found.digest


def test_the_same_code_is_copied_once_and_other_code_has_another_name(tmp_path: Path) -> None:
    root, cache = made_tree(tmp_path / "tree"), tmp_path / "cache"
    first = package(root, cache)
    marker = first.folder / "marker"
    marker.touch()
    assert package(root, cache) == first
    assert marker.exists()
    (root / "workloads" / "__init__.py").write_text("x = 1")
    assert package(root, cache).digest != first.digest


def test_too_much_is_refused_with_the_largest_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made_tree(tmp_path / "tree")
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    (root / "workloads" / "weights.bin").write_bytes(bytes(2000))
    with pytest.raises(ConfigError, match=r"remove what is no code, first .*weights\.bin"):
        package(root, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_real_code_is_small_and_runs_from_where_it_lies(tmp_path: Path) -> None:
    found = package(cache=tmp_path)
    assert found.size < module.MOST_BYTES / 2
    assert (found.folder / "orchestrator" / "jobs" / "keeper.py").exists()
    assert (found.folder / "clusters" / "local.yaml").exists()
