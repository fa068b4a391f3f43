"""Buckets of object storage, opened once in a process by the conventions of their cloud.

Credentials are never ours: those of S3 are found as boto3 finds them (environment, profile of
$AWS_PROFILE, single sign-on, role of the machine), with region and endpoint
(`AWS_ENDPOINT_URL`); those of Google by $GOOGLE_APPLICATION_CREDENTIALS, by what `gcloud auth
application-default login` left, or by the role of the machine.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError
from obstore import exceptions
from obstore.store import GCSStore, S3Store

from workloads.errors import StorageError
from workloads.storage.addresses import is_address, place_of

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config
    from pyarrow import fs

PATIENCE_S = 120.0  # from the first failure of a request to giving up
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
CONNECT_S, REQUEST_S = 5, 60
ARROW_ATTEMPTS = 10  # of Arrow's own access, with waits that double
# All patience is `Bucket.ask`'s: it has to know whether a request may have been carried out.
NO_RETRIES: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
DEFAULT_REGION = "us-east-1"
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_PASSING = ("408", "409", "429")  # too slow, at the same time as another write, too often
_NO_BUCKET = "NoSuchBucket"
_REFUSED = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
# What a caller asked about and got its answer to; trying again would not change it.
ANSWERS = (FileNotFoundError, exceptions.AlreadyExistsError, exceptions.PreconditionError)
_T = TypeVar("_T")


class Bucket:
    """One bucket; requests that fail are tried again for `PATIENCE_S`.

    Attributes:
        store: what obstore's functions take.
        name: its address.
    """

    def __init__(self, scheme: str, name: str) -> None:
        """Contacts nobody, but may ask this machine for its role.

        Raises:
            StorageError: no credentials, or what names them is wrong.
        """
        self.name = f"{scheme}://{name}"
        try:
            self.store: ObjectStore = _OPEN[scheme](self.name, name)
        except (exceptions.BaseError, BotoCoreError) as error:  # a profile or key file is not there
            reason = type(error).__name__
            raise StorageError(f"{self.name}: {_NO_CREDENTIALS[scheme]} ({reason})") from None

    def ask(self, request: Callable[..., _T], *args: Any, **options: Any) -> _T:
        """The answer to `request(store, *args, **options)`.

        Raises:
            FileNotFoundError: there is no such object.
            AlreadyExistsError, PreconditionError: what was to be written depends on a state that
                is not so; `was_tried` says whether an earlier try may have changed it itself.
            StorageError: not reached for `PATIENCE_S`, or refused.
        """
        until: float | None = None
        wait = FIRST_WAIT_S
        while True:
            try:
                return request(self.store, *args, **options)
            except ANSWERS as error:
                if _NO_BUCKET in str(error):
                    raise StorageError(self._problem(error)) from None
                if until is not None:
                    error.add_note(TRIED_BEFORE)
                raise
            except (exceptions.BaseError, OSError) as error:
                now = time.monotonic()
                until = until or now + PATIENCE_S
                if not _may_pass(error) or now + wait > until:
                    raise StorageError(self._problem(error)) from None
            time.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, LONGEST_WAIT_S)

    def _problem(self, error: Exception) -> str:
        """An error on one line, without the answer's text: it may name a key."""
        if _asks_for_role(error):
            return f"{self.name}: {_NO_CREDENTIALS[self.name[:2]]}"
        text = str(error)
        status, code = _STATUS.search(text), _CODE.search(text)
        said = " ".join(found[1] for found in (status, code) if found)
        if isinstance(error, _REFUSED) or (status and not _may_pass(error)):
            return (
                f"{self.name}: the storage refuses ({said or type(error).__name__}); check the "
                "bucket's name, its region, and what these credentials may do there"
            )
        return (
            f"{self.name}: no answer from object storage in {PATIENCE_S:.0f} s "
            f"({said or 'not reached'}); run the same command again when it answers: what is "
            "finished is kept"
        )


TRIED_BEFORE = "an earlier try may have done it"


def was_tried(error: BaseException) -> bool:
    """Whether an earlier try of the request may have done what it asked."""
    return TRIED_BEFORE in getattr(error, "__notes__", ())


def bucket(scheme: str, name: str) -> Bucket:
    """The bucket of this name, opened once in each process.

    Raises:
        StorageError: no credentials.
    """
    with _lock:
        return _bucket(scheme, name, os.getpid())


_lock = threading.Lock()


@lru_cache(maxsize=32)
def _bucket(scheme: str, name: str, process: int) -> Bucket:
    """A process that was forked has its own connections."""
    return Bucket(scheme, name)


def _s3(address: str, name: str) -> ObjectStore:
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session()
    if session.get_credentials() is None:
        raise StorageError(f"{address}: {_NO_CREDENTIALS['s3']}")
    config: S3Config = {"region": session.region_name or DEFAULT_REGION}
    endpoint = s3_endpoint()
    if endpoint:
        config["endpoint"] = endpoint
    return S3Store(
        name,
        config=config,
        credential_provider=Boto3CredentialProvider(session),
        client_options={**_client(), "allow_http": (endpoint or "").startswith("http:")},
        retry_config=NO_RETRIES,
    )


def s3_endpoint() -> str | None:
    """The address of the service where it is not Amazon's: of the environment or the profile."""
    import boto3

    for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if os.environ.get(variable):
            return os.environ[variable]
    profile = boto3.Session()._session.get_scoped_config()
    found: str | None = profile.get("endpoint_url")
    return found


def arrow_place(path: Path) -> tuple[str, fs.FileSystem | None]:
    """A folder as libraries on Arrow's file systems take it: its name there, and its system.

    For those that keep files of their own, as Ray Train does; None is the local one. The SDK
    below finds the same credentials, but no endpoint by itself.
    """
    if not is_address(path):
        return str(path), None
    from pyarrow import fs

    place = place_of(path)
    name = f"{place.bucket}/{place.key}"
    if place.scheme == "gs":
        return name, fs.GcsFileSystem()
    import boto3

    retries = fs.AwsStandardS3RetryStrategy(max_attempts=ARROW_ATTEMPTS)
    region = boto3.Session().region_name or DEFAULT_REGION
    return name, fs.S3FileSystem(
        region=region, endpoint_override=s3_endpoint(), retry_strategy=retries
    )


def _gs(address: str, name: str) -> ObjectStore:
    return GCSStore(name, client_options=_client(), retry_config=NO_RETRIES)


_OPEN: dict[str, Callable[[str, str], ObjectStore]] = {"s3": _s3, "gs": _gs}
_NO_CREDENTIALS = {
    "s3": "no credentials for S3 that can be used; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or give the machine a role",
    "gs": "no credentials for Google Cloud Storage that can be used; set "
    "GOOGLE_APPLICATION_CREDENTIALS to a key file, run 'gcloud auth application-default login', "
    "or give the machine a role",
}


def _client() -> ClientConfig:
    return {
        "connect_timeout": timedelta(seconds=CONNECT_S),
        "timeout": timedelta(seconds=REQUEST_S),
    }


def _may_pass(error: Exception) -> bool:
    """Whether trying again can help: not after a refusal, which has a status of 4xx."""
    if isinstance(error, _REFUSED) or _asks_for_role(error):
        return False
    status = _STATUS.search(str(error))
    return status is None or status[1][0] == "5" or status[1] in _PASSING


def _asks_for_role(error: Exception) -> bool:
    """Without other credentials a machine is asked for its role, where only clouds answer."""
    text = str(error)
    return "169.254.169.254" in text or "metadata.google.internal" in text
