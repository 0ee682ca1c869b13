"""`make evaluate`."""

from __future__ import annotations

import argparse
from typing import Any

from curation import manifest, storage
from pipelines.commands.common import read_config, refuse_beam_options
from pipelines.config import MODES, RunConfig, to_dict
from pipelines.encoders import describe_encoder, encoder_folder
from pipelines.stage import Stage
from pipelines.terminal import Progress, say, table

OUTPUTS = ("metrics",)
SHOWN = ("nDCG@10", "Recall@100")


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    config = read_config(arguments)
    if config is None:
        return 0
    refuse_beam_options(arguments)
    trained = manifest.read(storage.join(config.out, "model"), "make train")
    if arguments.dry_run:
        sets = ", ".join(s.label for s in config.evaluation.sets)
        when = "before and after training" if config.evaluation.before else "after training"
        say(f"would evaluate {config.out}/model, {when}, on {sets} and write {config.out}/metrics")
        return 0
    run(config, trained)
    return 0


def stage_for(config: RunConfig, trained: dict[str, Any]) -> Stage:
    """Return the stage with all that the result depends on."""
    inputs: list[Any] = [manifest.content_digest(trained)]
    for wanted in config.evaluation.sets:
        if wanted.kind == "questions":
            for folder, command in (("questions", "make synth"), ("documents", "make curate")):
                listed = manifest.read(storage.join(config.out, folder), command)
                inputs.append(manifest.content_digest(listed))
        else:
            files = storage.list_files(storage.local_path(wanted.path))
            inputs.append([storage.describe_file(path) for path in files])
    if config.evaluation.before:
        inputs.append(describe_encoder(encoder_folder(config.model.encoder)))
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


def run(config: RunConfig, trained: dict[str, Any]) -> None:
    """Evaluate, unless the metrics are up to date; print the table either way."""
    stage = stage_for(config, trained)
    directory = stage.directory("metrics")
    if stage.is_up_to_date():
        say(results_table(storage.read_json(storage.join(directory, "metrics.json"))))
        return
    stage.begin()
    results = evaluate_all(config)
    path = storage.join(directory, "metrics.json")
    storage.write_json(path, results)
    part = {"name": "metrics.json", "rows": len(results["sets"]), "bytes": storage.size_of(path)}
    part["sha256"] = storage.sha256_of(path)
    manifest.publish(directory, stage.description("metrics"), [part])
    say(results_table(results))
    queries = sum(s["queries"] for s in results["sets"])
    documents = sum(s["documents"] for s in results["sets"])
    stage.finish(f"{queries:,} queries and {documents:,} documents", "metrics")


def evaluate_all(config: RunConfig) -> dict[str, Any]:
    """Return the averages of every set, model and mode."""
    from mining.encode import best_device, probe_dtype
    from pipelines.evaluate import evaluate_model, load_set
    from train import metrics
    from train.checkpoint import load

    folders = {"after": storage.join(config.out, "model")}
    if config.evaluation.before:
        folders = {"before": encoder_folder(config.model.encoder), **folders}
    sets = [load_set(wanted, config.out, config.splits) for wanted in config.evaluation.sets]
    results: dict[str, dict[str, Any]] = {
        s.name: {"name": s.name, "queries": len(s.queries), "documents": len(s.documents)}
        for s in sets
    }
    dtype = ""
    for when, folder in folders.items():
        model = load(folder, config.model, config.train.seed).to(best_device())
        dtype = dtype or probe_dtype(model)[0]
        for data in sets:
            with Progress(f"{when} {data.name}", "documents") as progress:

                def report(done: int, tokens: int, size: int = len(data.documents)) -> None:
                    progress.update(done / size, done, f"{tokens:,} tokens")

                found = evaluate_model(model, data, config.evaluation, dtype, report)
            results[data.name][when] = {mode: metrics.average(found[mode]) for mode in MODES}
    return {"precision": dtype, "sets": list(results.values())}


def results_table(results: dict[str, Any]) -> str:
    """Return the table: a row per mode, before and after side by side."""
    blocks = []
    for found in results["sets"]:
        models = [when for when in ("before", "after") if when in found]
        header = [f"{found['name']} ({found['queries']} queries)"]
        header += [f"{measure} {when}" for measure in SHOWN for when in models]
        rows = [
            [mode, *(f"{found[when][mode][m]:.4f}" for m in SHOWN for when in models)]
            for mode in MODES
            if mode in found[models[-1]]
        ]
        blocks.append(table(header, rows))
    return "\n\n".join(blocks)
