"""Which engine runs a pipeline: Beam's options after `--`, else the local runner by name."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.runners.runner import PipelineState

from curation import errors
from curation.errors import ConfigError, ServiceError, ThreefoldError
from pipelines import remote
from pipelines.terminal import say

_LOCAL = ("", "DirectRunner", "FnApiRunner", "SwitchingDirectRunner")
_FLUSH = "data_buffer_time_limit_ms"


def check(beam_arguments: list[str], out: str, settings: Any) -> None:
    """Raise `ConfigError`, before anything is written, for options or paths that would fail.

    `settings` are the tables of the config whose paths workers open.
    """
    options = parse_options(beam_arguments)
    if remote.is_dataflow(options):
        remote.check_dataflow(options, out, settings)


def create_pipeline(beam_arguments: list[str], workers: int, elements: int) -> beam.Pipeline:
    """Return an empty pipeline on the runner that the options name, for so many elements of work.

    Without `--runner` it is Beam's FnApiRunner, named explicitly because DirectRunner first
    tries to download another engine: in memory for one worker, worker processes for more.
    Modes known to lose rows are refused.
    """
    options = parse_options(beam_arguments)
    # Workers flush by size only: the flush by time can cut an element in two (Beam 2.77).
    options.view_as(DebugOptions).add_experiment(f"{_FLUSH}=0")
    name = options.view_as(StandardOptions).runner or ""
    if name not in _LOCAL:
        if remote.is_dataflow(options):
            remote.set_defaults(options)
        return beam.Pipeline(options=options)
    count = _worker_count(beam_arguments, options, workers)
    return _local_pipeline(options, max(1, min(count, elements)))


def _local_pipeline(options: PipelineOptions, workers: int) -> beam.Pipeline:
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.transforms import environments

    environment = None
    if workers > 1:
        command = f"{shlex.quote(sys.executable)} -m pipelines.worker"
        environment = environments.SubprocessSDKEnvironment.from_command_string(command)
    direct = options.view_as(DirectOptions)
    direct.direct_num_workers = workers
    direct.direct_running_mode = "in_memory"  # the environment decides where workers run
    options.view_as(StandardOptions).runner = None
    return beam.Pipeline(runner=fn_runner.FnApiRunner(environment), options=options)


def _worker_count(arguments: list[str], options: PipelineOptions, configured: int) -> int:
    """Return the number of local workers: `--direct_num_workers`, else the config's."""
    given = any(a.startswith("--direct_num_workers") for a in arguments)
    count = options.view_as(DirectOptions).direct_num_workers if given else configured
    return int(count) or len(os.sched_getaffinity(0))


def parse_options(arguments: list[str]) -> PipelineOptions:
    """Return Beam's options; raise `ConfigError` for an unknown one or a mode that loses data."""
    options = PipelineOptions(arguments)
    known = options.get_all_options(drop_default=True, retain_unknown_options=False)
    unknown = [a for a in arguments if a.startswith("--") and not _is_known(a, options)]
    if unknown:
        raise ConfigError(f"Beam does not know the option {unknown[0]!r} given after `--`")
    runner = str(known.get("runner") or "")
    if known.get("direct_running_mode") == "multi_threading":
        raise ConfigError(
            "--direct_running_mode=multi_threading loses rows silently in Beam 2.77 (3 of 10 runs "
            "with large records were short); use --direct_running_mode=multi_processing"
        )
    for experiment in known.get("experiments") or ():
        name, _, value = experiment.partition("=")
        if name == _FLUSH and value != "0":
            raise ConfigError(
                f"--experiments={experiment} flushes half-written elements in Beam 2.77 and so "
                f"loses rows; leave it out or use {_FLUSH}=0"
            )
    if "dask" in runner.lower():
        raise ConfigError(
            "--runner=DaskRunner drops tagged outputs and bundle ends in Beam 2.77 and still "
            "reports DONE; use the local runner, Flink, Spark or Dataflow"
        )
    return options


def _is_known(argument: str, options: PipelineOptions) -> bool:
    name = argument[2:].partition("=")[0].replace("-", "_")
    return name in options.get_all_options() or name.removeprefix("no_") in (
        options.get_all_options()
    )


_OWN_ERROR = re.compile(r"(?:curation\.errors\.)?(\w+Error): (.*?)(?: \[while running|\n|$)")


def run(pipeline: beam.Pipeline) -> bool:
    """Run to the end; an error of ours that a worker raised comes out as itself.

    Returns False where the options asked for a template or a dry run, so that nothing ran.
    """
    written = _only_written(pipeline.options)
    try:
        result = pipeline.run()
        state = PipelineState.DONE if written else result.wait_until_finish() or result.state
    except ThreefoldError as error:
        raise type(error)(str(error).partition(" [while running")[0]) from None
    except Exception as error:
        raise own_error(str(error)) or error from None
    if state != PipelineState.DONE:
        raise ServiceError(f"the job ended as {state}, not as {PipelineState.DONE}; run it again")
    if written:
        say(f"{written}; the job was not run")
    return not written


def _only_written(options: PipelineOptions) -> str:
    """Return what happens instead of a run, "" for a run."""
    if not remote.is_dataflow(options):
        return ""
    template = options.view_as(GoogleCloudOptions).template_location
    if options.view_as(TestOptions).dry_run:
        return "the job was built and checked"
    return f"the job's template is in {template}" if template else ""


def own_error(text: str) -> ThreefoldError | None:
    """Return the error of this program that a worker's traceback ends in, if it does."""
    for name, message in reversed(_OWN_ERROR.findall(text)):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, ThreefoldError):
            return kind(message)
    return None
