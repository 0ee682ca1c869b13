"""Which engine runs, what is refused, and how a worker's error comes back."""

from __future__ import annotations

import os

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DebugOptions, DirectOptions
from apache_beam.runners.portability.fn_api_runner import fn_runner

from curation.errors import ConfigError, InputError, ServiceError, ThreefoldError
from pipelines import runner
from tests.command_line import run


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--direct_running_mode=multi_threading", "loses rows silently in Beam 2.77"),
        ("--runner=DaskRunner", "drops tagged outputs and bundle ends in Beam 2.77"),
        ("--runner=apache_beam.runners.dask.dask_runner.DaskRunner", "drops tagged outputs"),
        ("--experiments=data_buffer_time_limit_ms=100", "flushes half-written elements"),
    ],
    ids=["multi_threading", "dask", "dask-path", "flush"],
)
def test_engines_that_lose_rows_are_refused_with_the_reason(option: str, reason: str) -> None:
    """The message says what is wrong and what to use instead."""
    with pytest.raises(ConfigError, match=reason) as caught:
        runner.parse_options([option])
    assert " use " in str(caught.value)


def test_a_refused_engine_stops_the_command(tmp_path: object) -> None:
    """Nothing is curated by an engine that loses rows: status 2, nothing read."""
    override = 'curation.sources=[{kind="po", path="package://pipelines/configs/demo.toml"}]'
    result = run(
        *("curate", "--out", tmp_path, "--set", override, "--set", f"model.encoder='{tmp_path}'"),
        *("--", "--direct_running_mode=multi_threading"),
    )
    assert result.code == 2
    assert result.err.startswith("curate: error: --direct_running_mode=multi_threading loses rows")


@pytest.mark.parametrize(
    "option", ["--worker=3", "--runer=FlinkRunner", "--flink_mastr=x"], ids=lambda o: o
)
def test_an_option_beam_does_not_know_is_refused(option: str) -> None:
    """Beam itself would drop it silently."""
    with pytest.raises(ConfigError) as caught:
        runner.parse_options(["--direct_num_workers=2", option])
    assert str(caught.value) == f"Beam does not know the option {option!r} given after `--`"


@pytest.mark.parametrize(
    "arguments",
    [["--runner=FlinkRunner", "--flink_master=h:1"], ["--no_auth"], ["--save_main_session"]],
    ids=["flink", "no_auth", "flag"],
)
def test_options_of_beam_pass(arguments: list[str]) -> None:
    """Known options, flags and their `no_` forms go to Beam."""
    assert runner.parse_options(arguments).get_all_options()["flink_master"]


@pytest.mark.parametrize(
    ("arguments", "configured", "elements", "workers"),
    [
        ([], 1, 10, 1),
        ([], 4, 10, 4),
        ([], 4, 3, 3),
        ([], 4, 0, 1),
        ([], 0, 1000, len(os.sched_getaffinity(0))),
        (["--direct_num_workers=2"], 5, 10, 2),
        (["--runner=DirectRunner"], 2, 10, 2),
        (["--runner=FnApiRunner"], 2, 10, 2),
    ],
)
def test_local_runs_take_as_many_workers_as_there_is_work(
    arguments: list[str], configured: int, elements: int, workers: int
) -> None:
    """The option beats the config, 0 means one per CPU, and no worker would be idle."""
    pipeline = runner.create_pipeline(arguments, configured, elements)
    assert isinstance(pipeline.runner, fn_runner.FnApiRunner)
    assert pipeline.options.view_as(DirectOptions).direct_num_workers == workers
    assert pipeline.options.view_as(DirectOptions).direct_running_mode == "in_memory"


@pytest.mark.parametrize("arguments", [[], ["--runner=PortableRunner"]], ids=["local", "portable"])
def test_workers_flush_by_size_only(arguments: list[str]) -> None:
    """The flush by time, which is on by default, races with elements that are being written."""
    pipeline = runner.create_pipeline(arguments, 2, 10)
    experiments = pipeline.options.view_as(DebugOptions).experiments
    assert "data_buffer_time_limit_ms=0" in experiments


class _Result:
    state = "CANCELLED"

    def wait_until_finish(self) -> str:
        return self.state


def test_a_job_that_did_not_end_well_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled job raises nothing in Beam, yet its outputs are not complete."""
    pipeline = runner.create_pipeline([], 1, 1)
    monkeypatch.setattr(pipeline, "run", _Result)
    with pytest.raises(ServiceError, match="ended as CANCELLED"):
        runner.run(pipeline)


def test_another_runner_is_left_to_beam() -> None:
    """A runner that is named is the one that the pipeline has."""
    pipeline = runner.create_pipeline(["--runner=BundleBasedDirectRunner"], 4, 10)
    assert type(pipeline.runner).__name__ == "BundleBasedDirectRunner"


def _fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "error",
    [InputError("x.bz2 is gone; look"), ServiceError("no"), ConfigError("a = 1 is [odd]")],
    ids=["input", "service", "config"],
)
def test_an_error_of_ours_comes_out_of_a_worker_as_itself(error: ThreefoldError) -> None:
    """Kind and message survive Beam's wrapping."""
    pipeline = runner.create_pipeline([], 1, 1)
    _ = pipeline | beam.Create([error]) | beam.Map(_fail)
    with pytest.raises(type(error)) as caught:
        runner.run(pipeline)
    assert str(caught.value) == str(error)


def test_an_error_of_the_program_keeps_its_kind() -> None:
    """What is no user's error is not dressed up as one."""
    pipeline = runner.create_pipeline([], 1, 1)
    _ = pipeline | beam.Create([ZeroDivisionError("deep")]) | beam.Map(_fail)
    with pytest.raises(ZeroDivisionError, match="deep"):
        runner.run(pipeline)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("curation.errors.InputError: a: b [while running 'x']", InputError("a: b")),
        ("RuntimeError: Traceback\n  f()\nInputError: one\nServiceError: two\n", "two"),
        ("KeyError: 'x'\n", None),
        ("ValueError: InputErrors abound", None),
        ("ArithmeticError: no\n", None),
    ],
    ids=["beam", "last", "other", "words", "builtin"],
)
def test_own_error_reads_a_workers_traceback(text: str, found: object) -> None:
    """The last error of ours in the text, or None."""
    error = runner.own_error(text)
    assert (str(error) if error else None) == (str(found) if found else None)


def test_a_worker_process_reports_an_error_of_ours() -> None:
    """Two worker processes: the error still arrives as one line."""
    pipeline = runner.create_pipeline([], 2, 2)
    _ = pipeline | beam.Create([InputError("far away")]) | beam.Map(_fail)
    with pytest.raises(InputError, match=r"^far away$"):
        runner.run(pipeline)
