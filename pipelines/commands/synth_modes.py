"""What `synth` does instead of a run: batches and the preview."""

from __future__ import annotations

import argparse
from typing import Any

from curation.errors import ConfigError
from pipelines.config import RunConfig


def run(arguments: argparse.Namespace, config: RunConfig, documents: dict[str, Any]) -> bool:
    """Do what `--batch` or `--preview` says; return False where neither is given.

    Raises `ConfigError` for options of which one would be ignored.
    """
    _refuse_together(arguments)
    if arguments.batch:
        from pipelines.commands import synth_batch

        synth_batch.run(arguments, config, documents)
    elif arguments.preview is not None:
        from pipelines.commands import synth_preview

        synth_preview.run(arguments.preview, config, documents, arguments.beam)
    return arguments.batch is not None or arguments.preview is not None


def _refuse_together(arguments: argparse.Namespace) -> None:
    options = ("batch", "preview", "dry_run")
    given = [name for name in options if getattr(arguments, name) not in (None, False)]
    if len(given) > 1:
        first, second = (f"--{name.replace('_', '-')}" for name in given[:2])
        raise ConfigError(f"{first} and {second} exclude each other; leave one out")
    if arguments.batch_output and arguments.batch != "collect":
        raise ConfigError("--batch-output names files to collect: add --batch collect")
