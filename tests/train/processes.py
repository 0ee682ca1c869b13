"""Steps in several gloo processes: what `test_distributed.py` starts."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import transformers.models.xlm_roberta.modeling_xlm_roberta  # noqa: F401 - once, not per process
from torch.distributed.tensor import DTensor

from tests.train.steps import gradients_of, set_dropout
from train.batch_loss import StepLoss
from train.checkpoint import load
from train.config import ModelConfig
from train.model import M3Model
from train.sharding import shard
from train.step import backward, tokenize_batch

CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=256)


def run_step(case: dict[str, Any], model: M3Model, rank: int) -> StepLoss:
    """Take the gradients of a process's own batch."""
    batch = case["batches"][rank]
    tokens = tokenize_batch(model, batch)
    return backward(model, batch, tokens, case["loss"], case["executions"][rank])


def run_rank(folder: Path, rank: int) -> None:
    """Run the steps of one process and write what came out."""
    job = torch.load(folder / "job.pt", weights_only=False)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=job["world"],
        timeout=timedelta(seconds=60),
    )
    found = []
    for case in job["cases"]:
        model = load(job["encoder"], CONFIG)
        for name in case.get("frozen", ()):
            model.get_parameter(name).requires_grad_(False)
        set_dropout(model, case.get("dropout", 0.0))
        if case.get("sharded"):
            shard(model)
        model.train()
        torch.manual_seed(rank)
        for _ in range(case.get("steps", 1)):
            loss = job["step"](case, model, rank)
        found.append((loss, {n: _whole(g) for n, g in gradients_of(model).items()}))
    torch.save(found, folder / f"found-{rank}.pt")
    dist.destroy_process_group()


def _whole(gradient: torch.Tensor | None) -> torch.Tensor | None:
    return gradient.full_tensor() if isinstance(gradient, DTensor) else gradient


def run_processes(
    folder: Path,
    encoder: str,
    world: int,
    cases: list[dict[str, Any]],
    timeout: float = 60,
    step: Callable[[dict[str, Any], M3Model, int], Any] = run_step,
) -> list[list[Any]]:
    """Return for each process the (loss, gradients) of each case; children never outlive this."""
    job = {"encoder": encoder, "world": world, "cases": cases, "step": step}
    torch.save(job, folder / "job.pt")
    context = multiprocessing.get_context("forkserver")  # torch is imported once, not per process
    context.set_forkserver_preload(["tests.train.processes"])
    children = [context.Process(target=_run, args=(folder, rank)) for rank in range(world)]
    try:
        for child in children:
            child.start()
        for child in children:
            child.join(timeout)
        failures = [path.read_text() for path in sorted(folder.glob("error-*"))]
        assert [child.exitcode for child in children] == [0] * world, "\n".join(failures)
    finally:
        for child in children:
            if child.is_alive():
                child.kill()
                child.join()
    return [torch.load(folder / f"found-{r}.pt", weights_only=False) for r in range(world)]


def _run(folder: Path, rank: int) -> None:
    try:
        run_rank(folder, rank)
    except BaseException:
        (folder / f"error-{rank}").write_text(traceback.format_exc())
        raise
