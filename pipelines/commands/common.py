"""What every command does first: read the config, or print it and stop."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from pipelines.config import RunConfig, load, to_toml
from pipelines.terminal import say


def read_config(arguments: argparse.Namespace) -> RunConfig | None:
    """Return the merged config; None when it was only to be printed."""
    config = load(arguments.config, arguments.overrides)
    if arguments.out:
        config = dataclasses.replace(config, out=arguments.out)
    if arguments.print_config:
        say(to_toml(config).rstrip())
        return None
    return config


def refuse_beam_options(arguments: argparse.Namespace) -> None:
    """Raise `ConfigError` where options after `--` would be ignored."""
    if arguments.beam:
        from curation.errors import ConfigError

        raise ConfigError(
            f"{arguments.command} runs no Beam pipeline: it would ignore {' '.join(arguments.beam)}"
        )


def check_runner(arguments: argparse.Namespace, config: RunConfig, settings: object) -> None:
    """Raise `ConfigError` for runner options or paths with which the job would fail later.

    `settings` are the tables of the config whose paths workers open.
    """
    if arguments.beam:
        from pipelines import runner

        runner.check(arguments.beam, config.out, settings)


def load_for_encoding(config: RunConfig, dtype: str, command: str) -> tuple[Any, str]:
    """Return the config's model on the best device and the precision to encode in.

    Precision "auto" is probed, and the choice told.
    """
    from mining.encode import best_device, probe_dtype
    from pipelines.encoders import encoder_folder
    from train.checkpoint import load

    device = best_device()
    model = load(encoder_folder(config.model.encoder), config.model, config.train.seed).to(device)
    if dtype == "auto":
        dtype, why = probe_dtype(model)
        say(f"{command}: encoding in {dtype} on {device.type} ({why})")
    return model, dtype
