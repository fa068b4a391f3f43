"""`wsol serve --build`: an endpoint as files that others start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from clusters.cluster import load_cluster
from workloads.artifacts import write_text

SERVE_FILE = "serve.yaml"


def write_configuration(
    folder: Path, model: str, overrides: Sequence[str], *, follow: bool
) -> list[Path]:
    """Write an endpoint as Serve's configuration (`serve deploy`) and as KubeRay's RayService.

    The RayService has the pods of the shipped example; image and sizes are to be changed.

    Args:
        overrides: settings that differ from the defaults, as KEY.PATH=VALUE.

    Returns:
        The files.
    """
    example = load_cluster("kubernetes")
    service = {"model": model, "overrides": tuple(overrides), "follow": follow}
    values = {**example.model_dump(mode="json"), "runs": "service", "service": service}
    manifest = type(example).parse(values, "kubernetes").manifest()
    ((name, text),) = manifest.items()
    config = yaml.safe_load(text)["spec"]["serveConfigV2"]
    files = {folder / SERVE_FILE: config, folder / name: text}
    for path, content in files.items():
        write_text(path, content)
    return list(files)
