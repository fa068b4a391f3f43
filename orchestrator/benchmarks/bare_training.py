"""The same training without this project around it: its network and loader in a plain loop.

python -m orchestrator.benchmarks.bare_training {processes|ray} SPEC RESULT
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from orchestrator.train.spec import TrainSpec, build
from workloads.artifacts import read_json, write_json
from workloads.backbones.normalizer import InputNormalizer
from workloads.recipes.network import input_size
from workloads.shards.shards import Shards
from workloads.training.on_shards import TrainingData, shard_loader
from workloads.training.share import Share


def loop(spec: TrainSpec, share: Share, result: Path) -> None:
    """Train as a script does; the first worker writes seconds of each epoch, and its first step."""
    torch.set_num_threads(1)
    options = spec.recipe.train
    data = TrainingData(Shards.open(spec.shards), input_size(spec.recipe), spec.train_split)
    method = build(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loader = shard_loader(data, method, options, share)
    network: nn.Module = DistributedDataParallel(method)
    normalize = InputNormalizer(method.backbone.mean, method.backbone.std)
    optimizer = torch.optim.SGD(
        method.parameters(), options.learning_rate, momentum=0.9, weight_decay=5e-4
    )
    first, seconds = 0.0, []
    network.train()
    for epoch in range(options.epochs):
        started = time.monotonic()
        for batch in loader.batches(epoch):
            targets = batch.targets(torch.device("cpu"))
            terms = method.loss(network(normalize(batch.images), targets), targets)
            optimizer.zero_grad(set_to_none=True)
            total = torch.stack(list(terms.values())).sum()
            total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            first = first or time.time()
        seconds.append(time.monotonic() - started)
    if share.rank == 0:
        write_json(result, {"first_step": first, "epoch_seconds": seconds})


def _process(rank: int, spec: dict[str, Any], result: str, world: int, meeting: str) -> None:
    dist.init_process_group(
        "gloo", f"file://{meeting}", rank=rank, world_size=world, timeout=timedelta(minutes=5)
    )
    loop(TrainSpec.model_validate(spec), Share(rank, world), Path(result))
    dist.destroy_process_group()


def in_processes(spec: dict[str, Any], result: str) -> None:
    """On plain processes."""
    world = spec["workers"]
    spawn(_process, (spec, result, world, f"{result}.meeting"), world)  # type: ignore[no-untyped-call]


def _worker(config: dict[str, Any]) -> None:
    import ray.train

    context = ray.train.get_context()
    share = Share(context.get_world_rank(), context.get_world_size())
    loop(TrainSpec.model_validate(config["spec"]), share, Path(config["result"]))


def on_ray(spec: dict[str, Any], result: str) -> None:
    """On Ray Train."""
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    TorchTrainer(
        _worker,
        train_loop_config={"spec": spec, "result": result},
        scaling_config=ScalingConfig(num_workers=spec["workers"], resources_per_worker={"CPU": 1}),
        run_config=RunConfig(name="bare", storage_path=f"{result}.ray"),
    ).fit()


def main() -> None:
    """Run it as the words say."""
    way, spec, result = sys.argv[1:]
    {"processes": in_processes, "ray": on_ray}[way](read_json(Path(spec)), result)


if __name__ == "__main__":
    main()
