"""`make ablate`."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Any

from curation import storage
from curation.errors import ConfigError
from pipelines import config as configs
from pipelines.commands.common import refuse_beam_options
from pipelines.config import RunConfig
from pipelines.terminal import duration, say, table
from train.stopping import Stopped

FOLDER = "ablation"
"""The report's folder under `out`."""


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from pipelines.ablation import arms

    refuse_beam_options(arguments)
    tables = configs.read(arguments.config, arguments.overrides)
    if arguments.out:
        tables["out"] = arguments.out
    config = configs.build(RunConfig, tables, "")
    if arguments.print_config:
        say(configs.to_toml(config).rstrip())
        return 0
    if storage.is_url(config.out):
        raise ConfigError(f"out = {config.out!r}: an ablation writes to a local folder")
    plan = arms.plan_of(tables, config.ablate, config.out)
    if arguments.dry_run:
        say(describe(plan, config))
        return 0
    run(plan, config)
    return 0


def describe(plan: Any, config: RunConfig) -> str:
    """Return what would be run: each run with its state and how long it takes."""
    from pipelines.ablation import estimates, folders

    made = [job for wave in (plan.data, plan.mined) for job in wave]
    lines = [f"would make {' and '.join(job.steps)} in {job.folder}" for job in made]
    seconds = estimates.seconds_of_runs(plan)
    rows = [
        [job.name, "done" if folders.is_done(job) else "to do", _time(seconds[key])]
        for key, job in plan.runs.items()
    ]
    left = [seconds[key] for key, job in plan.runs.items() if not folders.is_done(job)]
    return "\n".join(
        [*lines, table(["run", "state", "time"], rows), _left(left, config.ablate.jobs)]
    )


def _left(seconds: Sequence[float | None], jobs: int) -> str:
    known = [one for one in seconds if one is not None]
    if len(known) < len(seconds):
        return f"{len(seconds)} runs to do; the first one will tell how long"
    whole = duration(sum(known) / max(1, min(jobs, len(known))))
    return f"{len(seconds)} runs to do, about {whole} with ablate.jobs = {jobs}"


def _time(seconds: float | None) -> str:
    return "?" if seconds is None else duration(seconds)


def run(plan: Any, config: RunConfig) -> None:
    """Run what is missing and write the report."""
    from pipelines.ablation import report, results, running
    from pipelines.ablation.tables import AVERAGE, tables_of

    before = signal.signal(signal.SIGTERM, _stop)
    try:
        running.run_all(plan, config.ablate.jobs, keep_models=config.ablate.keep_models)
    finally:
        signal.signal(signal.SIGTERM, before)
    found = results.assemble(results.read(plan, config.ablate), config.ablate)
    folder = storage.join(config.out, FOLDER)
    storage.write_json(storage.join(folder, "ablation.json"), found)
    storage.write_bytes(storage.join(folder, "ablation.md"), report.to_markdown(found).encode())
    storage.write_bytes(storage.join(folder, "ablation.html"), report.to_html(found).encode())
    for study in found["studies"]:
        say(f"\n{study['name']}, {found['measure']}")
        for title, columns, rows in tables_of(study, {AVERAGE: 0}):
            if rows:
                say(f"\n{title}\n{table(columns, rows)}")
    say(f"\nablate: wrote {folder}/ablation.html, .md and .json")


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped("stopped")
