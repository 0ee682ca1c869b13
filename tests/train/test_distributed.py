"""W processes equal one with the whole batch: the loss and every gradient."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.train.processes import CONFIG, run_processes
from tests.train.steps import largest_difference, rows_of_questions, run_step
from train.checkpoint import load
from train.data import TextBatch, collate
from train.loss_config import LossConfig
from train.negatives import Share, columns
from train.step import Execution

torch.set_num_threads(1)

TAU = 0.2
LOSSES = {
    "paper": LossConfig(temperature=TAU),
    "no distillation": LossConfig(temperature=TAU, self_distillation=False),
    "dense": LossConfig(temperature=TAU, heads=("dense",)),
    "everything": LossConfig(
        temperature=TAU,
        preset="simple",
        matryoshka=(32, 8),
        teacher="kl",
        teacher_temperature=0.3,
        false_negative_margin=0.05,
    ),
    "margin-mse": LossConfig(temperature=TAU, teacher="margin-mse"),
}
# Rows share negatives with their neighbours, so every cut has texts on both sides of it.
SHARES = {2: [5, 2], 4: [3, 1, 0, 3]}
BUDGETS = [150, 1 << 20, 400, 90]


def rows() -> list[dict[str, Any]]:
    """Seven questions; two are the same but for case, on different processes, other answers."""
    found = rows_of_questions(7)
    found[6]["query"] = found[0]["query"].upper()
    for n, row in enumerate(found):
        row["positive_ids"] = [f"d{n % 4}"]
        row["negative_ids"] = [f"n{n}", "d0"]
    return found


def collated(some: list[dict[str, Any]]) -> TextBatch:
    return collate(some, 2, np.random.default_rng(0), "scores")


def split(sizes: list[int]) -> list[TextBatch]:
    everything, start, batches = rows(), 0, []
    for size in sizes:
        batches.append(collated(everything[start : start + size]))
        start += size
    assert start == len(everything)
    return batches


def executions(world: int, memory: str) -> list[Execution]:
    return [Execution(budget=budget, memory=memory) for budget in BUDGETS[:world]]


def equal_cases(world: int) -> list[dict[str, Any]]:
    """All losses, uneven shares, other sub-batches; frozen parts; two steps that add up."""
    memories = ("cache", "checkpoint") if world == 2 else ("cache",)
    cases = [
        {"batches": split(SHARES[world]), "loss": loss, "executions": executions(world, memory)}
        for loss in LOSSES.values()
        for memory in memories
    ]
    frozen = ["colbert_linear.weight", "encoder.embeddings.word_embeddings.weight"]
    cases += [{**cases[0], "frozen": frozen}, {**cases[0], "steps": 2}]
    if world == 2:  # a model sharded by FSDP: all processes make the same number of passes
        cases += [{**case, "sharded": True} for case in cases[:2]]
    return cases


LOCAL = LossConfig(temperature=TAU, cross_device=False, teacher="kl", teacher_temperature=0.3)
LOCAL_CASE = {"batches": split(SHARES[4]), "loss": LOCAL, "executions": executions(4, "cache")}
DROPOUT_CASES = [
    {
        "batches": split([4, 3]),
        "loss": LOSSES["paper"],
        "dropout": 0.3,
        "executions": [Execution(budget=200, memory=memory)] * 2,
    }
    for memory in ("plain", "cache", "checkpoint")
]


@pytest.fixture(scope="module")
def found(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Any]]:
    """What each process of worlds of 2 and 4 found in all cases."""
    more = {2: DROPOUT_CASES, 4: [LOCAL_CASE]}
    return {
        world: run_processes(
            tmp_path_factory.mktemp("world"), tiny_encoder, world, [*equal_cases(world), *others]
        )
        for world, others in more.items()
    }


@pytest.mark.parametrize("world", [2, 4])
def test_processes_equal_one(tiny_encoder: str, found: dict[int, list[Any]], world: int) -> None:
    """Loss, parts, counts and every gradient are those of the whole batch in one process."""
    for number, case in enumerate(equal_cases(world)):
        model = load(tiny_encoder, CONFIG)
        for name in case.get("frozen", ()):
            model.get_parameter(name).requires_grad_(False)
        one, expected = run_step(model, collated(rows()), Execution(budget=1 << 20), case["loss"])
        expected = {n: g if g is None else g * case.get("steps", 1) for n, g in expected.items()}
        for loss, gradients in (process[number] for process in found[world]):
            assert loss.total == pytest.approx(one.total, rel=1e-5)
            assert loss.parts == pytest.approx(one.parts, rel=1e-5, abs=1e-7)
            assert loss.counts == one.counts
            assert largest_difference(expected, gradients) < 1e-4
        assert one.counts["masked"] >= 4
        same = [process[number][1] for process in found[world]]
        assert all(largest_difference(same[0], other) == 0 for other in same)


def test_local_negatives_average_the_processes(
    tiny_encoder: str, found: dict[int, list[Any]]
) -> None:
    """cross_device = false: the mean of the losses of the processes that have rows."""
    model = load(tiny_encoder, CONFIG)
    alone = [run_step(model, batch, Execution(budget=1 << 20), LOCAL) for batch in split([3, 1, 3])]
    mean = {
        n: None if g is None else sum(gradients[n] for _, gradients in alone) / 3  # type: ignore[misc]
        for n, g in alone[0][1].items()
    }
    total = sum(step.total for step, _ in alone) / 3
    cross = run_step(model, collated(rows()), Execution(budget=1 << 20), LOCAL)[0].total
    assert total != pytest.approx(cross, rel=1e-2)
    for process in found[4]:
        step, gradients = process[-1]
        assert step.total == pytest.approx(total, rel=1e-5)
        assert largest_difference(mean, gradients) < 1e-4


def test_memories_repeat_a_processs_dropout(found: dict[int, list[Any]]) -> None:
    """Caching and checkpointing give what keeping the graph gives, in a world of two."""
    kept, *others = found[2][0][-len(DROPOUT_CASES) :]
    for loss, gradients in others:
        assert loss.total == pytest.approx(kept[0].total, rel=1e-6)
        assert largest_difference(kept[1], gradients) < 1e-4


def test_columns_are_those_of_one_process() -> None:
    """However rows are cut, the columns are the distinct texts in order, owned by the first."""
    whole = columns([Share.of(collated(rows()))], 0)
    for sizes in ([7], [5, 2], [3, 1, 0, 3], [1] * 7):
        shares = [Share.of(batch) for batch in split(sizes)]
        seen = [columns(shares, rank) for rank in range(len(sizes))]
        assert all(plan.keys == whole.keys for plan in seen)
        assert [known for plan in seen for known in plan.known] == whole.known
        assert sum(len(plan.owned) for plan in seen) == len(whole.keys)
        assert {plan.queries for plan in seen} == {7}
        texts = [shares[r].passages[i] for r, plan in enumerate(seen) for i in plan.owned]
        assert [text in keys for text, keys in zip(texts, whole.keys, strict=True)] == [True] * len(
            texts
        )


def test_share_survives_the_way() -> None:
    """Numbers out, numbers in; also of a process without rows."""
    for batch in (collated(rows()), collated([]), replace(collated(rows()), passage_documents=[])):
        share = Share.of(batch)
        assert Share.from_numbers(share.to_numbers()) == share
