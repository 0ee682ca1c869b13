"""`make demo`: every stage, one after the other, and a table."""

from __future__ import annotations

import argparse
import time

from pipelines.cli import COMMANDS
from pipelines.commands.common import read_config
from pipelines.terminal import duration, say

_NONE = dict.fromkeys(("batch", "batch_output", "preview", "model", "sets", "compare"))
"""Options of synth alone, and of evaluate alone."""
STAGES = ("curate", "filter-pairs", "synth", "mine-negatives", "train", "evaluate")


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from importlib import import_module

    config = read_config(arguments)
    if config is None:
        return 0
    stages = [s for s in STAGES if s != "filter-pairs" or config.relevance.enabled]
    if arguments.dry_run:
        say(f"would run {', '.join(stages)} on {arguments.config} and write to {config.out}")
        return 0
    times = {}
    for stage in stages:
        started = time.monotonic()
        options = argparse.Namespace(**{**_NONE, **vars(arguments), "command": stage})
        if stage in ("filter-pairs", "train", "evaluate"):
            options.beam = []
        import_module(COMMANDS[stage][0]).main(options)
        times[stage] = time.monotonic() - started
    listed = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in times.items())
    say(f"demo: {duration(sum(times.values()))} in all ({listed})")
    for name, what in _RESULTS:
        say(f"  {config.out}/{name:<22} {what}")
    return 0


_RESULTS = (
    ("documents, pairs", "curated text (Parquet), pairs in buckets by token length"),
    ("questions", "LLM-written questions that passed the checks"),
    ("training", "training rows with mined negatives, in length-sorted shards"),
    ("model", "the M3 checkpoint (loads with transformers and sentence-transformers)"),
    ("metrics/metrics.json", "the table above with all measures"),
    ("rejects, reports", "what was dropped and why; counts and the training log"),
)
