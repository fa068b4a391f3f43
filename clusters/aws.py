"""Machines of Amazon's cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from clusters.launcher import InCloud, NodeType, WorkerType


class Aws(InCloud):
    """EC2 machines, made by Ray's launcher and ended with the cluster."""

    needs: ClassVar[Mapping[str, str]] = {"boto3": "boto3"}
    kind: Literal["aws"]
    machine_image: str | None = Field(
        default=None, description="AMI of the machines; null: the launcher's for the region"
    )
    instance_profile: str | None = Field(
        default=None,
        description="ARN of an instance profile that may read and write the buckets in use; null: "
        "the launcher's",
    )

    def provider(self) -> dict[str, Any]:
        """Ended machines are not kept: a stopped one costs its disk."""
        return {
            "type": "aws",
            "region": self.region,
            "availability_zone": self.zone,
            "cache_stopped_nodes": False,
        }

    def node_config(self, node: NodeType) -> dict[str, Any]:
        """As EC2's RunInstances has it."""
        disk = {"VolumeSize": node.disk_gb, "VolumeType": "gp3"}
        found: dict[str, Any] = {
            "InstanceType": node.instance,
            "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": disk}],
        }
        if self.machine_image:
            found["ImageId"] = self.machine_image
        if self.instance_profile:
            found["IamInstanceProfile"] = {"Arn": self.instance_profile}
        if isinstance(node, WorkerType) and node.spot:
            found["InstanceMarketOptions"] = {"MarketType": "spot"}
        return found
