"""Machines of Google's cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from clusters.launcher import InCloud, NodeType, WorkerType


class Gcp(InCloud):
    """Compute Engine machines, made by Ray's launcher and ended with the cluster."""

    needs: ClassVar[Mapping[str, str]] = {"googleapiclient": "google-api-python-client"}
    kind: Literal["gcp"]
    project: str = Field(description="id of the project that pays")
    machine_image: str = Field(description="image of the disks, as projects/.../images/...")

    def provider(self) -> dict[str, Any]:
        """Where the machines are."""
        return {
            "type": "gcp",
            "region": self.region,
            "availability_zone": self.zone,
            "project_id": self.project,
        }

    def node_config(self, node: NodeType) -> dict[str, Any]:
        """As Compute Engine's instances.insert has it; the machine type brings its GPUs."""
        disk = {"diskSizeGb": node.disk_gb, "sourceImage": self.machine_image}
        scheduling: list[dict[str, Any]] = []  # of one entry each, as Ray's own examples have it
        if node.gpus:  # cannot be moved while it runs
            scheduling.append({"onHostMaintenance": "TERMINATE"})
        if isinstance(node, WorkerType) and node.spot:
            scheduling.append({"preemptible": True})
        found: dict[str, Any] = {
            "machineType": node.instance,
            "disks": [
                {"boot": True, "autoDelete": True, "type": "PERSISTENT", "initializeParams": disk}
            ],
        }
        if scheduling:
            found["scheduling"] = scheduling
        return found
