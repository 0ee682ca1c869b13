from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from curation.errors import ConfigError
from pipelines.ablation.arms import Plan, dotted, plan_of
from pipelines.config import RunConfig, build, to_dict

BASE: dict[str, Any] = {
    "model": {"encoder": "enc"},
    "evaluation": {"sets": [{"kind": "beir", "path": "set"}]},
    "train": {"stages": [{"kind": "warmup", "max_steps": 3}, {"kind": "finetune"}]},
    "mining": {"relations": ["labelled"]},
}


def planned(*arms: dict[str, Any], **changes: Any) -> Plan:
    tables = BASE | {"ablate": {"arms": list(arms), **changes}}
    return plan_of(tables, build(RunConfig, tables, "").ablate, "out")


def test_every_arm_runs_with_every_seed_in_a_folder_of_its_own() -> None:
    plan = planned({"name": "a"}, {"name": "b", "set": {"train": {"negatives": 0}}}, seeds=[4, 7])

    assert [job.folder for job in plan.runs.values()] == [
        "out/runs/a/seed-4", "out/runs/a/seed-7", "out/runs/b/seed-4", "out/runs/b/seed-7"
    ]  # fmt: skip
    assert plan.runs["b", 7].tables["train"]["seed"] == 7
    assert plan.runs["b", 7].tables["train"]["negatives"] == 0
    assert plan.runs["a", 4].tables["out"] == "out/runs/a/seed-4"
    assert len({job.key for job in plan.runs.values()}) == 4


def test_only_the_first_arm_evaluates_the_model_before_training() -> None:
    plan = planned({"name": "a"}, {"name": "b", "set": {"train.negatives": 0}}, seeds=[0, 1])

    before = {key: job.tables["evaluation"]["before"] for key, job in plan.runs.items()}
    assert before == {("a", 0): True, ("a", 1): True, ("b", 0): False, ("b", 1): False}


def test_what_arms_have_in_common_is_made_once() -> None:
    plan = planned(
        {"name": "base"},
        {"name": "loss", "set": {"train.loss.self_distillation": False}},
        {"name": "random", "set": {"mining.sampling": "random"}},
        {"name": "short", "set": {"model.max_passage_tokens": 64}},
    )

    needs = {name: plan.runs[name, 0].needs for name in ("base", "loss", "random", "short")}
    assert needs["base"] == needs["loss"]
    assert len(set(needs.values())) == 3
    assert {job.folder for job in plan.mined} == set(needs.values())
    read = {job.folder: job.needs for job in plan.mined}
    assert read[needs["base"]] == read[needs["random"]] != read[needs["short"]]
    assert {job.folder for job in plan.data} == set(read.values())


def test_defaults_that_are_written_out_share_too() -> None:
    plan = planned(
        {"name": "a"},
        {"name": "b", "set": {"mining.depth": 200, "train.negatives": 1}},
    )

    assert len(plan.mined) == 1


def test_an_arm_without_training_rows_needs_no_mining() -> None:
    stages = [{"kind": "pretrain", "data": "pairs"}]
    plan = planned({"name": "pairs", "set": {"train": {"stages": stages}}})

    assert plan.mined == ()
    assert plan.runs["pairs", 0].needs == plan.data[0].folder


def test_questions_are_written_where_an_arm_mines_for_them() -> None:
    plan = planned(
        {"name": "without"},
        {"name": "with", "set": {"mining.relations": ["labelled", "question-document"]}},
    )

    (data,) = plan.data
    assert data.steps == ("curate", "synth")


def test_an_element_of_an_array_of_tables_is_set_by_its_number() -> None:
    plan = planned({"name": "long", "set": {"train": {"stages": {"0": {"max_steps": 9}}}}})

    assert plan.runs["long", 0].tables["train"]["stages"][0] == {"kind": "warmup", "max_steps": 9}
    assert BASE["train"]["stages"][0]["max_steps"] == 3


def test_a_preset_that_an_arm_sets_brings_its_own_weights() -> None:
    plan = planned({"name": "simple", "set": {"train.loss.preset": "simple"}})

    built = build(RunConfig, plan.runs["simple", 0].tables, "")
    assert built.train.loss.ensemble_weights == (1.0, 1.0, 1.0)


def test_dotted_and_nested_keys_are_the_same() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [2]}}

    assert dict(dotted(nested)) == dict(dotted({"a.b.c": 1, "a.d": [2]}))


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([], "ablate.arms lists no arm"),
        ([{"name": "a", "set": {"train.negative": 0}}], "the arm 'a': unknown key in [train]"),
        ([{"name": "a", "set": {"train.negatives": -1}}], "the arm 'a': train.negatives = -1"),
        ([{"name": "a", "set": {"train.seed": 3}}], "the arm 'a' sets train.seed"),
        ([{"name": "a", "set": {"out": "x"}}], "the arm 'a' sets out"),
        ([{"name": "a"}, {"name": "b"}], "'a' and 'b' are the same configuration"),
        ([{"name": "a"}, {"name": "a"}], "ablate.arms has 'a' more than once"),
        ([{"name": "../a"}], "names a folder"),
    ],
    ids=["none", "unknown-key", "range", "seed", "out", "equal", "twice", "name"],
)
def test_a_wrong_arm_is_named(arms: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        planned(*arms)


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"name": "s", "arms": ["b"]}, "unknown arm of 's' 'b'"),
        ({"name": "s", "arms": []}, "must list arms"),
        ({"name": "s", "arms": ["a"], "paper": "x"}, "unknown ablate.studies.paper 'x'"),
    ],
    ids=["arm", "empty", "paper"],
)
def test_a_wrong_study_is_named(study: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        planned({"name": "a"}, studies=[study])


def test_the_ready_configs_plan(tmp_path: Path) -> None:
    from pipelines.config import read

    for path in sorted(Path("pipelines/configs").glob("ablat*.toml")):
        tables = read(str(path), [])
        config = build(RunConfig, tables, "")
        plan = plan_of(tables, config.ablate, str(tmp_path))
        assert len(plan.runs) == len(config.ablate.arms) * len(config.ablate.seeds)
        used = {arm for study in config.ablate.studies for arm in study.arms}
        assert used == {arm.name for arm in config.ablate.arms}
        assert to_dict(config)["ablate"]["studies"]
