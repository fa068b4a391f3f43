"""What KubeRay is given, against its CRDs (what our keys are there), and kubectl as it is asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from kuberay_schema import REDUCED, examples

from clusters.base import JOB_SLOT, State
from clusters.cluster import load_cluster, parse_cluster
from clusters.kubernetes import Kubernetes
from clusters.state import STATE_VARIABLE
from workloads.errors import ClusterError, ConfigError

SCHEMAS = json.loads(REDUCED.read_text(encoding="utf-8"))
EXAMPLES = examples()


def made(**values: Any) -> Kubernetes:
    shipped = load_cluster("kubernetes").model_dump(mode="json")
    cluster = parse_cluster(yaml.safe_dump({**shipped, "name": "mine", **values}), "x")
    assert isinstance(cluster, Kubernetes)
    return cluster


def given_to_kuberay(cluster: Kubernetes) -> dict[str, Any]:
    (text,) = cluster.manifest().values()
    return yaml.safe_load(text)


@pytest.mark.parametrize("manifest", EXAMPLES.values(), ids=EXAMPLES)
def test_kuberay_takes_it(manifest: dict[str, Any]) -> None:
    jsonschema.validate(manifest, SCHEMAS[manifest["kind"]])


@pytest.mark.parametrize("manifest", EXAMPLES.values(), ids=EXAMPLES)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec.update(headgroupSpec={}),
        lambda spec: spec["headGroupSpec"].pop("template"),
        lambda spec: spec["workerGroupSpecs"][0].update(minReplicas="one"),
        lambda spec: spec["workerGroupSpecs"][0].pop("groupName"),
        lambda spec: spec["authOptions"].update(mode="on"),
        lambda spec: spec["headGroupSpec"]["rayStartParams"].update(resources={JOB_SLOT: 1}),
        lambda spec: spec["headGroupSpec"]["template"]["spec"]["containers"][0].pop("name"),
    ],
)
def test_the_schema_refuses_what_is_wrong(
    manifest: dict[str, Any], spoil: Callable[[dict[str, Any]], Any]
) -> None:
    spoilt = json.loads(json.dumps(manifest))
    spec = spoilt["spec"]
    spoil(spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoilt, SCHEMAS[manifest["kind"]])


def test_a_cluster_has_token_slots_and_volumes() -> None:
    spec = given_to_kuberay(made(secrets=["s3"]))["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    resources = spec["headGroupSpec"]["rayStartParams"]["resources"]
    assert json.loads(json.loads(resources)) == {JOB_SLOT: 2}  # quoted once for the operator
    pod = spec["workerGroupSpecs"][0]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {
        "cpu": "48", "memory": "256Gi", "nvidia.com/gpu": "8",
    }  # fmt: skip
    assert container["volumeMounts"] == [{"name": "volume-0", "mountPath": "/data"}]
    assert pod["volumes"] == [
        {"name": "volume-0", "persistentVolumeClaim": {"claimName": "wsol-data"}}
    ]
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert {"name": "RAY_JOB_START_TIMEOUT_SECONDS", "value": "604800"} in container["env"]
    assert "RAY_AUTH_MODE" not in [variable["name"] for variable in container["env"]]
    assert made().most() == {"CPU": 8 + 4 * 48, "GPU": 32}


def test_it_grows_with_the_work_unless_kueue_counts_it() -> None:
    free, queued = (given_to_kuberay(made(queue=queue)) for queue in (None, "night"))
    group = free["spec"]["workerGroupSpecs"][0]
    assert free["spec"]["enableInTreeAutoscaling"] is True
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (0, 0, 4)
    assert "suspend" not in free["spec"]
    group = queued["spec"]["workerGroupSpecs"][0]
    assert queued["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "night"}
    assert queued["spec"]["suspend"] is True
    assert queued["spec"]["enableInTreeAutoscaling"] is False
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (4, 4, 4)


def test_a_job_and_its_words() -> None:
    spec = given_to_kuberay(made(runs="job", job=["train", "my recipe.yaml"], retries=2))["spec"]
    assert spec["entrypoint"] == "wsol train 'my recipe.yaml'"
    assert json.loads(spec["entrypointResources"]) == {JOB_SLOT: 1}
    assert yaml.safe_load(spec["runtimeEnvYAML"]) == {"env_vars": {"WSOL_JOB": "mine"}}
    assert spec["backoffLimit"] == 2
    assert spec["shutdownAfterJobFinishes"] is True


@pytest.mark.filterwarnings("ignore:::ray")
def test_a_service_is_a_configuration_that_serve_takes() -> None:
    from ray.serve.schema import ServeDeploySchema

    cluster = made(runs="service", service={"model": "wsol@champion"})
    values = yaml.safe_load(given_to_kuberay(cluster)["spec"]["serveConfigV2"])
    (application,) = ServeDeploySchema.model_validate(values).applications
    assert application.import_path == "orchestrator.serve.ray_serve:build"
    assert application.args == {
        "model": "wsol@champion", "follow": False, "overrides": [], "host": "0.0.0.0",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="runs: service, it takes no jobs"):
        cluster.submit_address()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"runs": "job"}, "runs: job needs job:"),
        ({"runs": "service"}, "runs: service needs service:"),
        ({"runs": "jobs"}, "x: runs: "),
        ({"head": {"cpus": 1, "memory_gb": 1}}, "x: head.memory_gb: .*given 1"),
        ({"workers": {"gpu": {"cpus": 1, "memory_gb": 4, "least": -1, "most": 1}}}, "gpu.least: "),
    ],
)
def test_wrong_settings_are_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        made(**values)
    assert "\n" not in str(caught.value)


KUBECTL = """#!/bin/sh
echo "$@" >> "$FAKE/asked"
case "$*" in
  *" create "*) cat > "$FAKE/created" ;;
  *" get secret "*) cat "$FAKE/secret" ;;
  *" get "*) [ ! -f "$FAKE/fails" ] || { echo "first line" >&2; echo "no route" >&2; exit 1; }
             [ ! -f "$FAKE/there" ] || cat "$FAKE/there" ;;
  *" delete "*) [ ! -f "$FAKE/there" ] || echo "deleted" ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that writes down what it is asked, and answers with the files of a folder."""
    command = tmp_path / "kubectl"
    command.write_text(KUBECTL)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    return tmp_path


def test_up_gives_kubectl_the_manifest_and_leaves_alone_what_is_there(fake: Path) -> None:
    cluster, lines = made(context="there", namespace="wsol"), list[str]()
    assert cluster.status().state is State.DOWN
    cluster.up(lines.append)
    assert {"raycluster.yaml": (fake / "created").read_text()} == cluster.manifest()
    asked = (fake / "asked").read_text().splitlines()
    assert asked[-1] == "--context=there --namespace=wsol create --filename=-"
    (fake / "there").write_text(json.dumps({"kind": "RayCluster", "status": {}}))
    (fake / "created").unlink()
    cluster.up(lines.append)
    assert not (fake / "created").exists()
    assert "is there already: starting" in lines[-1]
    cluster.down(lines.append)
    assert (fake / "asked").read_text().splitlines()[-1].endswith(
        "delete raycluster.ray.io mine --ignore-not-found"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        ({"kind": "RayCluster"}, State.STARTING, "KubeRay says: nothing"),
        (
            {"kind": "RayCluster", "spec": {"suspend": True}, "status": {"state": "suspended"}},
            State.STARTING,
            "waits in queue night",
        ),
    ],
)
def test_what_is_waited_for_is_said(
    fake: Path, found: dict[str, Any], state: State, reason: str
) -> None:
    (fake / "there").write_text(json.dumps(found))
    cluster = made(queue="night")
    status = cluster.status()
    assert (status.state, status.reason) == (state, reason)
    with pytest.raises(ClusterError, match=f"has no pods yet .{reason}"):
        cluster.submit_address()


def test_kubectl_that_fails_or_is_missing_is_one_line(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake / "fails").touch()
    assert made().status().state is State.UNREACHABLE
    assert made().status().reason == "cluster 'mine': kubectl: no route"
    (fake / "kubectl").unlink()
    monkeypatch.setenv("PATH", str(fake))
    with pytest.raises(ClusterError, match="no command 'kubectl' on this machine") as caught:
        made().up(print)
    assert "\n" not in str(caught.value)


def test_the_token_is_that_of_the_secret(fake: Path) -> None:
    encoded = base64.b64encode(b"the token\n").decode()
    (fake / "secret").write_text(json.dumps({"data": {"auth_token": encoded}}))
    assert made().token() == "the token"
    (fake / "secret").write_text(json.dumps({"data": {}}))
    with pytest.raises(ClusterError, match="secret 'mine' holds no auth_token"):
        made().token()
