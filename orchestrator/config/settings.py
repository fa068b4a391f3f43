"""The typed form of `ray_config.yaml`, the one file that a user edits.

Every default of the system stands here (or in the typed options of a component that this file
includes), once. Unknown keys are refused with the nearest match.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import yaml
from pydantic import Field, field_validator

from orchestrator.config.renamed import refuse_renamed
from orchestrator.config.variables import CONFIG_VARIABLE, TRACKING_VARIABLE
from workloads.annotation.options import Kept
from workloads.datasets.digit_options import DigitsOptions, SingleDigitsOptions
from workloads.errors import ConfigError, NotFound, one_line
from workloads.images.decode import ImageLimits
from workloads.metrics.options import MetricOptions
from workloads.options import Options
from workloads.proposals.options import ProposalOptions
from workloads.search.options import SearchMetric, SearchOptions
from workloads.search.sweep_options import SweepOptions
from workloads.storage.addresses import absolute, check_address, is_address, shown
from workloads.training.cadence import Cadence

CONFIG_FILE = "ray_config.yaml"
_ORIGIN = re.compile(r"https?://[^/?#\s]+")
_HOST_AND_PORT = re.compile(r"[\w.-]+:[0-9]+(/.*)?")  # urlparse takes the host for a scheme
_NO_SERVERS = ("", "file", "s3", "gs", "abfss", "wasbs", "hdfs", "dbfs", "ftp", "sftp", "r2")


class Tracking(Options):
    """The MLflow server, and how long it is waited for."""

    uri: str | None = Field(
        default=None,
        description="tracking server; null: $MLFLOW_TRACKING_URI, else SQLite in the workspace",
    )
    experiment: str = Field(default="wsol", description="MLflow experiment of all runs")
    timeout_s: float = Field(default=10.0, gt=0, description="limit of one call to the server")
    retries: int = Field(default=1, ge=0, description="repeats of a failed call to the server")

    @field_validator("uri")
    @classmethod
    def _is_of_a_server(cls, uri: str | None) -> str | None:
        """Refuse what MLflow would take for a folder, or for a place of artifacts."""
        scheme = urlparse(uri or "http:").scheme
        if _HOST_AND_PORT.fullmatch(uri or ""):
            raise ValueError(f"no address of a tracking server; write it as http://{uri}")
        if scheme in _NO_SERVERS:
            what = f"'{scheme}' names no tracking server" if scheme else "a folder is none"
            raise ValueError(
                f"{what}; give http(s)://HOST:PORT, or a database such as sqlite:///FILE or "
                "postgresql://USER@HOST/NAME (its artifacts may lie in s3, gs and the like)"
            )
        return uri


LoaderName = Literal["shards", "ray-data"]


class TrainResources(Options):
    """Workers of one training, and its checkpoints."""

    workers: int | tuple[int, int] = Field(
        default=2, description="data-parallel training processes; [MIN, MAX]: as many as there are"
    )
    cpus_per_worker: float = Field(default=1, gt=0, description="CPUs, and threads, of each")
    gpus_per_worker: float = Field(
        default=0, ge=0, description="GPUs of each; above 0 trains with nccl and bf16"
    )
    loader: LoaderName = Field(
        default="shards",
        description="each worker decodes for itself, or Ray Data does on any CPUs of the cluster",
    )
    loader_threads: int = Field(
        default=0, ge=0, description="decoding threads of each, beside the step; 0: in its thread"
    )
    checkpoint_steps: int | None = Field(
        default=None, ge=1, description="steps between checkpoints, beside those after each epoch"
    )
    checkpoint_minutes: float | None = Field(
        default=10, gt=0, description="minutes between checkpoints; null: none but the others"
    )
    keep_checkpoints: int = Field(default=2, ge=1, description="the last ones that are kept")
    max_failures: int = Field(default=2, ge=0, description="restarts from the last checkpoint")
    start_timeout_s: float = Field(default=120, gt=0, description="wait for workers to start")
    node_metrics: bool = Field(
        default=False, description="load of all machines among the metrics of epochs"
    )
    stall_s: float = Field(
        default=120, gt=0, description="time without a step after which it is said who waits"
    )

    @field_validator("workers")
    @classmethod
    def _are_some(cls, workers: int | tuple[int, int]) -> int | tuple[int, int]:
        least, most = (workers, workers) if isinstance(workers, int) else workers
        if not 1 <= least <= most:
            raise ValueError("give at least 1, or [MIN, MAX] with 1 <= MIN <= MAX")
        return workers

    @property
    def device(self) -> str:
        """The device of a worker, as torch calls it."""
        return "cuda" if self.gpus_per_worker else "cpu"

    @property
    def least_workers(self) -> int:
        """Workers without which a training waits."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def most_workers(self) -> int:
        """Workers that a training is planned for."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    @property
    def least_cpus(self) -> float:
        """CPUs without which a training waits: of its workers, and one that decodes for them."""
        if self.loader == "shards":
            return self.least_workers * self.cpus_per_worker
        # Workers that take all CPUs would wait for ever for images that none is left to decode.
        return self.most_workers * self.cpus_per_worker + 1

    @property
    def threads(self) -> int:
        """Threads of a worker: as many as its CPUs, at least one."""
        return max(1, int(self.cpus_per_worker))

    def cadence(self, *, keep_best: bool) -> Cadence:
        """Times at which checkpoints are made, and the number that stays."""
        return Cadence(
            self.checkpoint_steps, self.checkpoint_minutes, self.keep_checkpoints, keep_best
        )


class PoolResources(Options):
    """A pool of inference actors."""

    actors: int = Field(default=2, ge=1, description="actors at the same time")
    cpus_per_actor: float = Field(default=1, gt=0, description="CPUs of each actor")
    gpus_per_actor: float = Field(default=0, ge=0, description="GPUs of each actor")

    @property
    def device(self) -> str:
        """The device of an actor, as torch calls it."""
        return "cuda" if self.gpus_per_actor else "cpu"

    @property
    def threads(self) -> int:
        """Threads of an actor: as many as its CPUs, at least one."""
        return max(1, int(self.cpus_per_actor))


class EvaluateResources(PoolResources):
    """Actors that store maps, and tasks that measure them."""

    images_per_task: int = Field(
        default=2048, ge=1, description="images measured by one task; fewer need no cluster"
    )


class AnnotateResources(PoolResources):
    """Actors that annotate, and the size of a unit of the ledger."""

    chunk_images: int = Field(
        default=128, ge=1, description="images per unit of work; what a crash can cost"
    )


class IngestResources(Options):
    """Tasks of ingestion, and the size of its shards."""

    cpus_per_task: float = Field(default=1, gt=0, description="CPUs of each task")
    shard_mb: float = Field(default=64.0, gt=0, description="image bytes per shard, MiB")


class ProposalResources(Options):
    """Tasks of the search for object proposals."""

    cpus_per_task: float = Field(default=1, gt=0, description="CPUs of each task")


class Resources(Options):
    """Resources of the cluster, by verb."""

    ingest: IngestResources = IngestResources()
    proposals: ProposalResources = ProposalResources()
    train: TrainResources = TrainResources()
    evaluate: EvaluateResources = EvaluateResources()
    annotate: AnnotateResources = AnnotateResources()


class Serving(Options):
    """The endpoint and its limits."""

    host: str = Field(default="127.0.0.1", description="address to listen on; loopback")
    port: int = Field(default=8000, ge=1, le=65535, description="port to listen on")
    models: dict[str, str] = Field(
        default={}, description="models beside the first one: name to NAME@ALIAS or folder"
    )
    max_loaded: int = Field(default=4, ge=1, description="models that a copy keeps in memory")
    follow_s: float = Field(
        default=10.0, gt=0, description="seconds between looks for a new champion, if followed"
    )
    replicas: int | tuple[int, int] = Field(
        default=1, description="copies; [MIN, MAX]: as many as the requests need"
    )
    cpus_per_replica: float = Field(default=1, gt=0, description="CPUs of each copy")
    gpus_per_replica: float = Field(default=0, ge=0, description="GPUs of each copy")
    max_batch_size: int = Field(default=16, ge=1, description="images per dynamic batch")
    batch_wait_s: float = Field(default=0.005, ge=0, description="wait for a batch to fill")
    max_queue: int = Field(default=256, ge=1, description="waiting requests; more get 503")
    max_wait_s: float = Field(
        default=10.0, gt=0, description="wait for those before, by their pace; over it 503"
    )
    max_request_mb: float = Field(default=16.0, gt=0, description="body limit, MiB; else 413")
    max_images: int = Field(default=32, ge=1, description="images of one batch request; else 413")
    request_timeout_s: float = Field(default=30.0, gt=0, description="limit of one request")
    keys_file: Path | None = Field(
        default=None, description="hashed API keys, see `wsol keys`; needed beyond loopback"
    )
    rate_per_s: float | None = Field(
        default=None, gt=0, description="requests per second of one key; more get 429"
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(), description="web pages whose scripts may ask, as https://example.org; * for all"
    )
    fetch_from: tuple[str, ...] = Field(
        default=(), description="addresses from which images may be fetched, as https://example.org"
    )
    access_log: str | None = Field(
        default=None, description="file of JSON lines, a line for each request; -: standard error"
    )

    @field_validator("replicas")
    @classmethod
    def _are_some(cls, replicas: int | tuple[int, int]) -> int | tuple[int, int]:
        least, most = (replicas, replicas) if isinstance(replicas, int) else replicas
        if not 1 <= least <= most:
            raise ValueError("give at least 1, or [MIN, MAX] with 1 <= MIN <= MAX")
        return replicas

    @property
    def least_replicas(self) -> int:
        """Copies that there are at all times."""
        return self.replicas if isinstance(self.replicas, int) else self.replicas[0]

    @property
    def most_replicas(self) -> int:
        """Copies that there are at most."""
        return self.replicas if isinstance(self.replicas, int) else self.replicas[1]

    @property
    def device(self) -> str:
        """The device of a copy, as torch calls it."""
        return "cuda" if self.gpus_per_replica else "cpu"

    @property
    def threads(self) -> int:
        """Threads of a copy: as many as its CPUs, at least one."""
        return max(1, int(self.cpus_per_replica))

    @property
    def at_once(self) -> int:
        """Images that a copy works on at the same time."""
        return self.max_batch_size if self.device == "cuda" else self.threads

    @field_validator("allowed_origins", "fetch_from")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what no browser sends, and would therefore never match."""
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"'{origin}' is no origin; write SCHEME://HOST[:PORT], or *")
        return origins


class Data(Options):
    """The data set, and the splits that verbs take from its shards."""

    dataset: str = Field(default="digits", description="a name from `wsol list datasets`")
    root: Path | None = Field(
        default=None, description="its folder; null: an embedded data set, made in the workspace"
    )
    train_split: str = Field(default="train", description="split to learn from")
    val_split: str = Field(default="val", description="split to tune and choose on")
    test_split: str = Field(default="test", description="split to report")
    digits: DigitsOptions = DigitsOptions()
    single_digits: SingleDigitsOptions = SingleDigitsOptions()

    @property
    def embedded(self) -> dict[str, DigitsOptions]:
        """Data sets that the project makes, each with what it is made of."""
        return {"digits": self.digits, "single-digits": self.single_digits}


class Ingest(Options):
    """Reading of a data set."""

    options: dict[str, Any] = Field(
        default={}, description="options of its layout, see `wsol list datasets`"
    )
    max_quarantined: float = Field(
        default=0.1, ge=0, le=1, description="share of images that may be quarantined, 0 to 1"
    )


class Train(Options):
    """Training, where it differs from the recipe."""

    epochs: int | None = Field(default=None, ge=1, description="instead of the recipe's epochs")


class Evaluate(Options):
    """Maps stored of each image, and options of the metrics."""

    stored_maps: int = Field(
        default=10, ge=1, description="maps kept per image beside those of its true classes"
    )
    metrics: MetricOptions = MetricOptions(pointing_tolerance_px=4.0, prediction_tolerance_px=4.0)


class Tune(SearchOptions):
    """The search of cut-offs and the co-occurrence weight on the validation split."""

    images: int = Field(
        default=10_000, ge=1, description="images of the validation split, spread over it"
    )


class Registry(Options):
    """The registry of model versions."""

    model: str = Field(default="wsol-digits", description="name of the registered model")
    alias: str = Field(default="champion", description="alias of the winner")
    select_by: SearchMetric = Field(
        default="box_f1", description="validation metric that chooses the winner"
    )


class Annotate(Kept):
    """Annotation of folders, and which of them `wsol run` annotates with the winner."""

    folder: Path | None = Field(
        default=None, description="a folder of images; null: the test images without labels"
    )
    max_quarantined: float = Field(
        default=0.1, ge=0, le=1, description="share of files that may be quarantined, 0 to 1"
    )
    teach_score: float = Field(
        default=0.8, ge=0, description="class score from which --teach trusts a class"
    )

    @property
    def kept(self) -> Kept:
        """The part of it that decides what an annotation holds."""
        return Kept(**{name: getattr(self, name) for name in Kept.model_fields})


class Pipeline(Options):
    """A pipeline of `wsol run`: every recipe through all verbs."""

    name: str = Field(
        default="demo", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="its name"
    )
    recipes: tuple[str, ...] = Field(
        default=("digits-cam-tiny", "digits-spn-tiny"),
        min_length=1,
        description="what to train: names from `wsol list recipes`, or files of your own",
    )
    recipe_set: tuple[str, ...] = Field(
        default=(), description="KEY.PATH=VALUE instead of what all these recipes say"
    )


class Machine(Options):
    """The machine that verbs run on; what to do is told to each of them."""

    cluster: str = Field(
        default="local", description="a name from `wsol list clusters`, or the path of a file"
    )
    workspace: Path = Field(
        default=Path("wsol-workspace"),
        description="folder, s3:// or gs:// of data, shards, runs and tracking",
    )
    tracking: Tracking = Tracking()
    resources: Resources = Resources()
    images: ImageLimits = ImageLimits()

    def check_tracking(self) -> None:
        """Refuse a workspace in object storage whose tracker would be a file in it.

        Raises:
            ConfigError: with how to start a server.
        """
        if self.tracking.uri is None and is_address(self.workspace):
            raise ConfigError(
                f"workspace {shown(self.workspace)}: tracking needs a server, since a SQLite file "
                "cannot be in object storage; start one ('mlflow server --host HOST') and set "
                f"tracking.uri or ${TRACKING_VARIABLE} to http://HOST:5000"
            )


class Settings(Machine):
    """All of `ray_config.yaml`: the machine, and a section for each verb."""

    data: Data = Data()
    ingest: Ingest = Ingest()
    proposals: ProposalOptions = ProposalOptions()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    tune: Tune = Tune()
    sweep: SweepOptions = SweepOptions()
    registry: Registry = Registry()
    annotate: Annotate = Annotate()
    serve: Serving = Serving()
    pipeline: Pipeline = Pipeline()

    def resolved(self) -> Settings:
        """Settings that mean the same elsewhere, as they are shipped to workers.

        The workspace is absolute, and the tracking server that of the environment where none is
        set.

        Raises:
            ConfigError: the environment names no tracking server, or the workspace no place.
        """
        check_address(self.workspace, "workspace")
        workspace = absolute(self.workspace)
        named = os.environ.get(TRACKING_VARIABLE)
        tracking = self.tracking
        if tracking.uri is None and named:
            tracking = Tracking.parse({**tracking.model_dump(), "uri": named}, TRACKING_VARIABLE)
        return self.model_copy(update={"workspace": workspace, "tracking": tracking})


def load_settings(path: Path | None = None, overrides: tuple[str, ...] = ()) -> Settings:
    """Settings of a file with `key.path=value` overrides (values are YAML).

    Without a path: $WSOL_CONFIG, else ./ray_config.yaml if it exists, else the defaults.

    Raises:
        NotFound: the named file is missing.
        ConfigError: not YAML, an unknown key (with the nearest match) or a bad value.
    """
    path = settings_file(path)
    values = _read_yaml(path) if path else {}
    for override in overrides:
        _apply(values, override)
    where = str(path or "settings")
    refuse_renamed(values, where)
    return Settings.parse(values, where).resolved()


def settings_file(given: Path | None) -> Path | None:
    """The file that `load_settings` reads for a given path; None means only defaults."""
    named = given or os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return Path(CONFIG_FILE) if Path(CONFIG_FILE).is_file() else None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"{path}: no such configuration file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = one_line(str(error))
        raise ConfigError(f"{path}: not valid YAML: {problem}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold keys and values, not a {type(values).__name__}")
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"--set {override}: write it as key.path=value")
    *parents, last = key.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: '{parent}' holds a value, not keys")
        values = inner
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: '{text}' is not a YAML value") from None
