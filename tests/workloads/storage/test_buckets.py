"""A storage that does not answer is waited for, not for ever, and tells no secrets."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import obstore
import pytest
from obstore import exceptions
from s3_endpoint import S3Endpoint, forget_buckets

from workloads.artifacts import read_json, write_json
from workloads.errors import StorageError
from workloads.storage import buckets
from workloads.storage.storage import storage_of

NOBODY = "http://127.0.0.1:9"  # the port of discard, where nobody listens


@pytest.fixture
def elsewhere(s3_endpoint: S3Endpoint, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment may be changed; nothing of it is kept."""
    forget_buckets()
    return monkeypatch


@pytest.fixture(autouse=True)
def _forgotten():
    yield
    forget_buckets()


def test_a_storage_that_comes_back_is_waited_for(s3_endpoint: S3Endpoint, bucket: Path) -> None:
    write_json(bucket / "x.json", {"a": 1})
    s3_endpoint.stop()
    back = threading.Timer(1.5, s3_endpoint.start)
    back.start()
    try:
        began = time.monotonic()
        write_json(bucket / "y.json", {"b": 2})
        assert time.monotonic() - began > 1
    finally:
        back.join()
    assert read_json(bucket / "x.json") == {"a": 1}
    assert read_json(bucket / "y.json") == {"b": 2}


def test_one_that_stays_away_is_given_up_in_one_line(elsewhere: pytest.MonkeyPatch) -> None:
    elsewhere.setenv("AWS_ENDPOINT_URL", NOBODY)
    elsewhere.setattr(buckets, "PATIENCE_S", 1.0)
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"^s3://bucket: no answer .* in 1 s .*; run") as caught:
        write_json(Path("s3://bucket/x.json"), {})
    assert time.monotonic() - began < 10
    assert caught.value.exit_code == 8
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, OSError)  # who can go on without a file does


def test_a_refusal_is_said_at_once_without_the_key(
    s3_endpoint: S3Endpoint, elsewhere: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"s3://no-such-bucket: the storage refuses") as caught:
        write_json(Path("s3://no-such-bucket/x.json"), {})
    assert time.monotonic() - began < 10
    assert "test-key" not in str(caught.value)
    assert "test-secret" not in str(caught.value)


def test_no_credentials_are_said_at_once(elsewhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        elsewhere.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        elsewhere.setenv(name, str(tmp_path / "none"))
    with pytest.raises(
        StorageError, match=r"s3://bucket: no credentials for S3 .*; set AWS_PROFILE"
    ):
        write_json(Path("s3://bucket/x.json"), {})


def test_a_profile_names_credentials_and_endpoint(
    s3_endpoint: S3Endpoint, bucket: Path, elsewhere: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in s3_endpoint.environment:
        elsewhere.delenv(name)
    (tmp_path / "config").write_text(
        f"[profile lab]\nregion = eu-central-1\nendpoint_url = {s3_endpoint.url}\n"
        "aws_access_key_id = k\naws_secret_access_key = s\n"
    )
    elsewhere.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    elsewhere.setenv("AWS_PROFILE", "lab")
    write_json(bucket / "x.json", {"a": 1})
    assert read_json(bucket / "x.json") == {"a": 1}


def test_a_wrong_profile_and_a_wrong_key_file_are_said(
    elsewhere: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StorageError, match=r"s3://bucket: no cred.*\(ProfileNotFound\)"):
        write_json(Path("s3://bucket/x.json"), {})
    elsewhere.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none"))
    with pytest.raises(StorageError, match="gs://bucket: no credentials for Google"):
        write_json(Path("gs://bucket/x.json"), {})


def test_google_without_credentials_is_refused_within_seconds(
    elsewhere: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere.setenv("HOME", str(tmp_path))
    elsewhere.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    began = time.monotonic()
    with pytest.raises(StorageError, match="gs://bucket: no credentials for Google Cloud Storage"):
        storage_of(Path("gs://bucket")).files(Path("gs://bucket/a"))
    assert time.monotonic() - began < 60


class Lost:
    """The answer to a request that was carried out gets lost once."""

    def __init__(self, request: object, said: str) -> None:
        self.request, self.said, self.lost = request, said, False

    def __call__(self, *args: object, **options: object) -> object:
        answer = self.request(*args, **options)  # type: ignore[operator]
        if not self.lost:
            self.lost = True
            raise exceptions.GenericError(self.said)
        return answer


@pytest.mark.parametrize("said", ["connection reset", "status code: 503", "status code: 409"])
def test_an_answer_that_got_lost_makes_no_ghost(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Tried again, the request meets what it wrote itself."""
    storage, put = storage_of(bucket), obstore.put
    monkeypatch.setattr(obstore, "put", Lost(put, said))
    assert storage.create(bucket / "lease", "mine")
    monkeypatch.setattr(obstore, "put", Lost(put, said))
    assert not storage.create(bucket / "lease", "another's")
    monkeypatch.setattr(obstore, "put", Lost(put, said))
    assert storage.swap(bucket / "lease", "mine", "mine, renewed")
    monkeypatch.setattr(obstore, "put", put)
    storage.append(bucket / "log", b"one\n")
    monkeypatch.setattr(obstore, "put", Lost(put, said))
    storage.append(bucket / "log", b"two\n")
    with storage.open(bucket / "log") as stream:
        assert stream.read() == b"one\ntwo\n"
