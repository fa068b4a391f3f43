"""An S3 endpoint on this machine: moto's server, in a thread of the tests."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from workloads.storage import buckets
from workloads.storage.storage import storage_of


class S3Endpoint:
    """A server that can go away and come back with what it holds."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        with socket.socket() as free:
            free.bind((address, 0))
            self.port = int(free.getsockname()[1])
        self._server: ThreadedMotoServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach it, by the conventions of boto3."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        self._server = ThreadedMotoServer(self.address, self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.stop()

    @contextmanager
    def away(self, after_s: float, for_s: float) -> Iterator[threading.Event]:
        """Nobody answers for some time, from some time on; the event says that it began."""
        gone, ended = threading.Event(), threading.Event()

        def go_away() -> None:
            if ended.wait(after_s):
                return
            self.stop()
            gone.set()
            time.sleep(for_s)
            self.start()

        thread = threading.Thread(target=go_away)
        thread.start()
        try:
            yield gone
        finally:
            ended.set()
            thread.join()

    def new_bucket(self) -> Path:
        """An empty bucket, as a path."""
        import boto3

        name = f"bucket-{uuid.uuid4().hex[:12]}"
        place = {"LocationConstraint": "eu-central-1"}
        boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=place)
        return Path(f"s3://{name}")


def upload(folder: Path, place: Path) -> Path:
    """Copy a folder into a bucket; the place."""
    for file in folder.rglob("*"):
        if file.is_file():
            target = place / file.relative_to(folder)
            with storage_of(target).publish_file(target) as temporary:
                temporary.write_bytes(file.read_bytes())
    return place


def forget_buckets() -> None:
    """Open every bucket anew, with the environment as it is then."""
    buckets._bucket.cache_clear()


def with_environment(endpoint: S3Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point this process at an endpoint."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)
    forget_buckets()
