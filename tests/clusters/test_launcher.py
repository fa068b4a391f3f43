"""What Ray's launcher is given, against the launcher's own schema; nothing is started."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import clusters.launcher
from clusters.base import JOB_SLOT, State
from clusters.cluster import KINDS, load_cluster, parse_cluster
from clusters.launcher import Launched
from clusters.state import STATE_VARIABLE, state_folder
from clusters.tunnel import close_tunnel
from workloads.errors import ClusterError, ConfigError

LAUNCHED = [name for name, kind in KINDS.items() if issubclass(kind, Launched)]


def given_to_ray(name: str) -> dict[str, Any]:
    return yaml.safe_load(load_cluster(name).manifest()["cluster.yaml"])


@pytest.mark.filterwarnings("ignore:::ray")
@pytest.mark.parametrize("name", LAUNCHED)
def test_the_launcher_takes_it(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(given_to_ray(name)))
    validate_config(prepared)
    # Ray's defaults would install its nightly build.
    assert "ray-wheels" not in str(prepared)
    with pytest.raises(Exception, match="Additional properties"):
        validate_config({**prepared, "job_slots": 1})


@pytest.mark.parametrize("name", LAUNCHED)
def test_every_node_has_the_token_from_a_file_and_only_the_head_has_slots(name: str) -> None:
    values = given_to_ray(name)
    (there,) = values["file_mounts"]
    assert there == f"~/.ray/wsol-{name}-token"
    assert values["setup_commands"][0] == f"chmod 600 {there}"
    head, worker = (values[f"{k}_start_ray_commands"][-1] for k in ("head", "worker"))
    for line in (head, worker):
        assert "export RAY_AUTH_MODE=token " in line
        assert re.search(rf" RAY_AUTH_TOKEN_PATH=\$HOME/\.ray/wsol-{name}-token[ ;]", line)
        assert " RAY_JOB_START_TIMEOUT_SECONDS=604800 " in line
        assert " RAY_AUTH_TOKEN=" not in line
    slots = load_cluster(name).job_slots
    assert f"""'--resources={{"{JOB_SLOT}": {slots}}}'""" in head
    assert JOB_SLOT not in worker
    assert "--dashboard-host=127.0.0.1" in head
    assert worker.endswith("ray start --address=$RAY_HEAD_IP:6379")


def test_hosts_outside_of_containers_know_no_ray_stop() -> None:
    """It would end every Ray of that user there."""
    values = given_to_ray("hosts")
    commands = [*values["head_start_ray_commands"], *values["worker_start_ray_commands"]]
    assert "ray stop" not in " ".join(commands)
    assert values["provider"]["worker_ips"] == ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
    assert (values["min_workers"], values["max_workers"]) == (3, 3)
    text = yaml.safe_dump({**load_cluster("hosts").model_dump(mode="json"), "image": "wsol:cpu"})
    boxed = yaml.safe_load(parse_cluster(text, "x").manifest()["cluster.yaml"])
    assert boxed["head_start_ray_commands"][0] == "ray stop"
    assert boxed["docker"]["image"] == "wsol:cpu"


def test_a_head_is_ended_by_its_number_and_no_other_process(tmp_path: Path) -> None:
    """A number that belongs to something else by now is left alone; a line may be a long one."""
    line = given_to_ray("hosts")["head_start_ray_commands"][0]
    kept = tmp_path / ".ray/wsol-hosts.pid"
    kept.parent.mkdir()
    sleeper = "import time; time.sleep(600)" + "  # a long path" * 20
    environment = {**os.environ, "HOME": str(tmp_path)}
    for words, ended in (([], False), (["ray start --head"], True)):
        with subprocess.Popen([sys.executable, "-c", sleeper, *words]) as process:
            kept.write_text(str(process.pid))
            with subprocess.Popen(["bash", "-c", line], env=environment) as shell:
                if ended:
                    process.wait(timeout=60)  # the shell waits for its end, too
                assert shell.wait(timeout=60) == 0
            assert (process.poll() is not None) is ended
            process.kill()
        assert not kept.exists()


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_a_cloud_can_grow_to_four_machines_with_eight_gpus(name: str) -> None:
    cluster = load_cluster(name)
    each = {"aws": 192, "gcp": 96}[name]
    assert cluster.most() == {"CPU": 8 + 4 * each, "GPU": 32}
    types = given_to_ray(name)["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 8, JOB_SLOT: 2}
    assert types["gpu"]["resources"] == {"CPU": each, "GPU": 8}
    assert (types["gpu"]["min_workers"], types["gpu"]["max_workers"]) == (0, 4)


def test_machines_in_the_words_of_each_cloud() -> None:
    values = load_cluster("aws").model_dump(mode="json")
    values["workers"]["gpu"]["spot"] = True
    values |= {"machine_image": "ami-1", "instance_profile": "arn:aws:iam::1:instance-profile/x"}
    node = parse_cluster(yaml.safe_dump(values), "x").node_types()["available_node_types"]["gpu"]
    assert node["node_config"] == {
        "InstanceType": "g5.48xlarge",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 500, "VolumeType": "gp3"}}
        ],
        "ImageId": "ami-1",
        "IamInstanceProfile": {"Arn": "arn:aws:iam::1:instance-profile/x"},
        "InstanceMarketOptions": {"MarketType": "spot"},
    }
    gcp = given_to_ray("gcp")["available_node_types"]
    assert gcp["gpu"]["node_config"]["scheduling"] == [{"onHostMaintenance": "TERMINATE"}]
    assert "scheduling" not in gcp["head"]["node_config"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("aws", {"zoen": "a"}, "x: unknown key 'zoen'; did you mean 'zone'"),
        (
            "gcp",
            {"head": {"instance": "a", "cpus": 1, "cpu": 1}},
            "x.head: unknown key 'cpu'; did.*'cpus'",
        ),
        ("aws", {"head": {"instance": "a", "cpus": 0}}, "x: head.cpus: .*given 0"),
        ("aws", {"workers": {"g": {"instance": "a", "cpus": 1, "most": 0}}}, "workers.g.most: "),
        ("hosts", {"workers": "a,b"}, "x: workers: "),
        ("hosts", {"idle_minutes": 0}, "x: idle_minutes: "),
    ],
)
def test_wrong_settings_are_one_line(name: str, change: dict[str, Any], message: str) -> None:
    values = {**load_cluster(name).model_dump(mode="json"), **change}
    with pytest.raises(ConfigError, match=message) as caught:
        parse_cluster(yaml.safe_dump(values), "x")
    assert "\n" not in str(caught.value)


RAY = """#!{python}
import json, pathlib, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
folder = pathlib.Path({folder!r})
with (folder / "asked").open("a") as stream:
    stream.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "up":
    sys.exit((folder / "fails").exists())
if sys.argv[1] == "dashboard":
    node = {{"state": "ALIVE", "resources_total": {{"CPU": 2.0}}}}
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            nodes = [] if (folder / "silent").exists() else [node]
            self.wfile.write(json.dumps({{"data": {{"result": {{"result": nodes}}}}}}).encode())
    HTTPServer(("127.0.0.1", int(sys.argv[3].split("=")[1])), Handler).serve_forever()
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A `ray` that writes down what it is asked, and whose dashboard knows one node."""
    command = tmp_path / "ray"
    command.write_text(RAY.format(python=sys.executable, folder=str(tmp_path)))
    command.chmod(0o755)
    monkeypatch.setattr(clusters.launcher, "ray_command", lambda: str(command))
    monkeypatch.setattr(clusters.launcher, "_ANSWER_S", 0.0)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    yield tmp_path
    close_tunnel(state_folder("hosts"))


def asked(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "asked").read_text().splitlines()]


def test_up_and_down_by_the_launcher(fake: Path) -> None:
    cluster, said = load_cluster("hosts"), list[str]()
    cluster.up(said.append)
    assert asked(fake) == ["up", "dashboard"]
    file = state_folder("hosts") / "cluster.yaml"
    assert file.read_text() == cluster.manifest()["cluster.yaml"]
    assert f"up --yes --no-config-cache {file}" in (fake / "asked").read_text()
    assert (fake / "token").stat().st_mode & 0o777 == 0o600
    assert cluster.status().nodes == 1
    cluster.up(said.append)
    assert "is up already" in said[-1]
    assert asked(fake) == ["up", "dashboard"]  # the tunnel is found again, too
    # One that does not answer is not started over its jobs.
    (fake / "silent").touch()
    with pytest.raises(ClusterError, match="no node has joined it; end it: wsol cluster down"):
        cluster.up(said.append)
    cluster.down(said.append)
    assert asked(fake)[-1] == "exec"
    assert "kill -TERM" in (fake / "asked").read_text().splitlines()[-1]
    assert cluster.status().state is State.DOWN
    cluster.down(said.append)
    assert "is down already" in said[-1]


def test_a_start_that_failed_is_repeated_by_the_next_up(fake: Path) -> None:
    (fake / "fails").touch()
    with pytest.raises(ClusterError, match=r"ray up failed \(exit code 1, .*cluster\.yaml"):
        load_cluster("hosts").up(print)
    (fake / "fails").unlink()
    load_cluster("hosts").up(print)
    assert asked(fake) == ["up", "up", "dashboard"]


def test_a_cloud_without_its_package_is_one_line(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(load_cluster("aws")), "needs", {"no_such_module": "its-package"})
    message = r"launcher needs its-package here: .* -m pip install its-package"
    with pytest.raises(ClusterError, match=message):
        load_cluster("aws").up(print)
    assert not (fake / "asked").exists()
