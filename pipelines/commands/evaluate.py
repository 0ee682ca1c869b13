"""`make evaluate`."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from curation import manifest, storage
from curation.errors import ConfigError
from pipelines.commands.common import read_config, refuse_beam_options
from pipelines.config import RunConfig, to_dict
from pipelines.encoders import describe_encoder, encoder_folder
from pipelines.evaluation.config import AFTER, BEFORE, EvaluationModel, EvaluationSet
from pipelines.evaluation.tables import results_table
from pipelines.stage import Stage
from pipelines.terminal import Progress, say

OUTPUTS = ("metrics",)
RESULTS = "metrics.json"
PAGE = "reports/evaluate.html"
OUT = "out/evaluation"
"""Where an evaluation without a run writes."""


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.compare:
        from pipelines.evaluation import comparing

        say(comparing.compare_files(arguments.compare))
        return 0
    config = read_config(arguments)
    if config is None:
        return 0
    refuse_beam_options(arguments)
    config = of_options(config, arguments)
    trained = None
    if config.evaluation.after:
        trained = manifest.read(storage.join(config.out, "model"), "make train")
    if arguments.dry_run:
        say(_told(config, trained))
        return 0
    run(config, trained)
    return 0


def of_options(config: RunConfig, arguments: argparse.Namespace) -> RunConfig:
    """Return the config with the models and sets of the command line in place of its own.

    With `--model` no run is read: its folders, and the config's baselines, are evaluated.
    """
    changes: dict[str, Any] = {}
    if arguments.sets:
        changes["sets"] = tuple(map(_set_of, arguments.sets))
    if arguments.model:
        own = tuple(map(_model_of, arguments.model))
        others = tuple(m for m in config.evaluation.models if m.kind != "m3")
        changes |= {"models": (*own, *others), "before": False, "after": False}
        if not arguments.sets and any(s.kind == "questions" for s in config.evaluation.sets):
            raise ConfigError("--model without a run has no questions: name sets with --sets GLOB")
        if not arguments.out:
            config = dataclasses.replace(config, out=OUT)
    evaluation = dataclasses.replace(config.evaluation, **changes)
    return dataclasses.replace(config, evaluation=evaluation)


def _model_of(text: str) -> EvaluationModel:
    name, equals, path = text.partition("=")
    return EvaluationModel(name=name, path=path) if equals else EvaluationModel(path=text)


def _set_of(text: str) -> EvaluationSet:
    return EvaluationSet(kind="beir", path=text)


def _told(config: RunConfig, trained: dict[str, Any] | None) -> str:
    sets = ", ".join(s.label for s in config.evaluation.sets)
    labels = [model.label for model in config.evaluation.models]
    models = ", ".join([*_run_models(config, trained), *labels])
    return f"would evaluate {models} on {sets} and write {config.out}/metrics"


def _run_models(config: RunConfig, trained: dict[str, Any] | None) -> dict[str, str]:
    """Return the folders of the run's own models, by name."""
    before = {BEFORE: config.model.encoder} if config.evaluation.before else {}
    return before | ({AFTER: storage.join(config.out, "model")} if trained else {})


def stage_for(config: RunConfig, trained: dict[str, Any] | None) -> Stage:
    """Return the stage with all that the result depends on."""
    from pipelines.evaluation.run import all_sets

    inputs: list[Any] = [manifest.content_digest(trained)] if trained else []
    for wanted in all_sets(config.evaluation):
        inputs.append(_state_of(wanted, config))
    if config.evaluation.before:
        inputs.append(describe_encoder(encoder_folder(config.model.encoder)))
    for model in config.evaluation.models:
        if model.path:
            inputs.append(describe_encoder(encoder_folder(model.path)))
    return Stage(
        name="evaluate",
        out=config.out,
        outputs=OUTPUTS,
        config={
            "evaluation": to_dict(config.evaluation),
            "model": to_dict(config.model),
            "splits": to_dict(config.splits),
            "seed": config.train.seed,
        },
        inputs=inputs,
    )


def _state_of(wanted: EvaluationSet, config: RunConfig) -> list[Any]:
    """Return what tells whether a set's files changed."""
    if wanted.kind == "questions":
        pairs = (("questions", "make synth"), ("documents", "make curate"))
        read = (manifest.read(storage.join(config.out, f), command) for f, command in pairs)
        return [manifest.content_digest(listed) for listed in read]
    found: list[Any] = []
    for path in filter(None, (wanted.path, wanted.corpus)):
        files = storage.files_under(path) if storage.is_folder(path) else [path]
        found += [storage.describe_file(file) for file in files if storage.exists(file)]
    return found


def run(config: RunConfig, trained: dict[str, Any] | None) -> None:
    """Evaluate, unless the metrics are up to date; print the table either way."""
    stage = stage_for(config, trained)
    directory = stage.directory("metrics")
    if stage.is_up_to_date():
        results = storage.read_json(storage.join(directory, RESULTS))
        if not storage.exists(storage.join(config.out, PAGE)):
            _report(config, results)
        say(results_table(results))
        return
    stage.begin()
    results, files = evaluate_all(config, trained, directory)
    storage.write_json(storage.join(directory, RESULTS), results)
    parts = [_part(directory, name, results) for name in (RESULTS, *files)]
    manifest.publish(directory, stage.description("metrics"), parts)
    _report(config, results)
    say(results_table(results))
    queries = sum(s["queries"] for s in results["sets"])
    documents = sum(s["documents"] for s in results["sets"])
    stage.finish(f"{queries:,} queries and {documents:,} documents", "metrics")


def _report(config: RunConfig, results: dict[str, Any]) -> None:
    """Write the page, if it is wanted; one that was removed comes again without evaluating."""
    if config.evaluation.report:
        from pipelines.report import evaluation as report

        name = os.path.basename(config.out.rstrip("/"))
        report.write(storage.join(config.out, PAGE), name, results)


def _part(directory: str, name: str, results: dict[str, Any]) -> dict[str, Any]:
    path = storage.join(directory, name)
    rows = len(results["sets"]) if name == RESULTS else 0
    digest = storage.sha256_of(path)
    return {"name": name, "rows": rows, "bytes": storage.size_of(path), "sha256": digest}


def evaluate_all(
    config: RunConfig, trained: dict[str, Any] | None, directory: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the results of every set, model and mode, and the files written beside them."""
    from pipelines.evaluation.models import Loader
    from pipelines.evaluation.results import assemble
    from pipelines.evaluation.run import Evaluation

    loader = Loader(config.evaluation, config.model, config.train.seed)
    own = {n: encoder_folder(f) for n, f in _run_models(config, trained).items()}
    candidates = [loader.trained(name, folder) for name, folder in own.items()]
    candidates += [loader.listed(model) for model in config.evaluation.models]
    if not candidates:
        raise ConfigError("nothing to evaluate: name a model with --model, or train one")
    evaluation = Evaluation(config.evaluation, config.out, config.splits, directory)
    sets = evaluation.run(candidates, _watch)
    head = {
        "precision": loader.dtype,
        "models": [{"name": c.name, "kind": c.kind} for c in candidates],
    }
    return assemble(sets, config.evaluation, head), evaluation.files


@contextmanager
def _watch(model: str, data: Any) -> Iterator[Any]:
    size = max(1, len(data.documents))
    with Progress(f"{model} {data.name}", "documents") as progress:

        def report(done: int, tokens: int) -> None:
            progress.update(done / size, done, f"{tokens:,} tokens" if tokens else "")

        yield report
