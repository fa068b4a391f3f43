"""An annotation in object storage whose endpoint is away for half a minute loses nothing.

`make test-long` prints the figures that stand in docs/reliability.md.
"""

from __future__ import annotations

import time
from pathlib import Path

from s3_endpoint import S3Endpoint, upload
from samples import make_images, make_model, make_settings

from orchestrator.annotate.annotate import annotate
from workloads.artifacts import sha256
from workloads.storage.storage import storage_of

IMAGES, AWAY_S = 400, 30.0


def test_an_endpoint_that_is_away_for_30_s(
    s3_endpoint: S3Endpoint, bucket: Path, tmp_path: Path
) -> None:
    local = make_images(tmp_path / "images", IMAGES)
    whole = annotate(
        make_settings(tmp_path / "workspace"), local,
        str(make_model(tmp_path / "model", seed=0)), tmp_path / "out",
    )  # fmt: skip
    images, model = upload(local, bucket / "images"), make_model(bucket / "model", seed=0)
    settings, began = make_settings(bucket / "workspace"), time.monotonic()
    with s3_endpoint.away(after_s=1.0, for_s=AWAY_S) as gone:
        done = annotate(settings, images, str(model), bucket / "out")
    seconds = time.monotonic() - began
    assert gone.is_set(), "it was done before the endpoint went away"
    assert seconds > AWAY_S
    assert {n: sha256(p) for n, p in done.files.items()} == {
        n: sha256(p) for n, p in whole.files.items()
    }
    parts = len(storage_of(bucket).files(bucket / "out" / "parts"))
    assert parts == IMAGES // settings.resources.annotate.chunk_images
    print(f"\nendpoint away for {AWAY_S:.0f} s: done after {seconds:.1f} s, {parts} parts, equal")  # noqa: T201
