"""Dataflow without an account: every job is written offline and looked into."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pytest

from curation import runs
from curation.config import CurationConfig, SourceConfig
from curation.errors import ConfigError
from curation.records import TRAINING_ROW
from curation.synthesis.config import SynthesisConfig
from pipelines import curate, remote, runner, shards, synth
from pipelines.commands import curate as curate_command
from pipelines.commands import synth as synth_command
from pipelines.config import load, to_dict
from pipelines.parts import PartPlan
from pipelines.synthesis import checking, sampling, writing
from pipelines.work import Workspace
from tests.command_line import run
from tests.pipelines.offline import IMAGE, arguments, read_job, write_job

pytest.importorskip("apitools", reason="needs the gcp extra: pip install '.[gcp]'")
pytest.importorskip("gcsfs", reason="needs the gcp extra: pip install '.[gcp]'")

Build = Callable[[beam.Pipeline], None]
LIMIT = 1_000_000  # bytes; Dataflow refuses a job of 10 MB


def curate_job(folder: Path, count: int) -> Build:
    """A job over `count` sources, each in a language of its own, with a long list of inputs."""
    paths = [folder / f"source-{number:05d}.json" for number in range(count)]
    for path in paths:
        path.write_text("{}\n")
    sources = tuple(
        SourceConfig(
            kind="json",
            name=f"source-{number}",
            path=str(path),
            language=f"q{chr(97 + number // 26 % 26)}{chr(97 + number % 26)}",
            columns={"title": "title", "text": "text"},
        )
        for number, path in enumerate(paths)
    )
    inputs = [{"path": str(path), "bytes": 3, "mark": "0" * 20} for path in paths]
    job = curate.CurateJob(
        config=CurationConfig(sources=sources),
        tokenizer="gs://bucket/encoder",
        extraction=Workspace(str(folder / "scores")),
        workspace=Workspace(str(folder / "work")),
        out=str(folder / "out"),
        descriptions={output: {"inputs": inputs} for output in curate_command.OUTPUTS},
    )
    return lambda pipeline: curate.build(pipeline, job)


def synth_job(folder: Path, count: int) -> synth.SynthJob:
    """A job over `count` document parts."""
    return synth.SynthJob(
        config=SynthesisConfig(base_url="http://llm.example", model="m"),
        tokenizer="gs://bucket/encoder",
        workspace=Workspace(str(folder / "work")),
        out=str(folder / "out"),
        parts=tuple(f"part-{number:05d}.parquet" for number in range(count)),
        descriptions={output: {"fingerprint": "f"} for output in synth_command.OUTPUTS},
    )


def sampling_job(folder: Path, count: int) -> Build:
    return lambda pipeline: sampling.build_sampling(pipeline, synth_job(folder, count))


def checking_job(folder: Path, count: int) -> Build:
    return lambda pipeline: checking.build_checking(pipeline, synth_job(folder, count))


def writing_job(folder: Path, count: int) -> Build:
    return lambda pipeline: writing.build_writing(pipeline, synth_job(folder, count))


def shards_job(folder: Path, count: int) -> Build:
    """The last step of `mine-negatives` over `count` runs."""
    plan = PartPlan(
        kind="training",
        directory=str(folder / "out"),
        schema=TRAINING_ROW,
        part_bytes=64 << 20,
        description={"fingerprint": "f"},
    )
    paths = [f"gs://bucket/work/runs/rows-{number:09d}{runs.SUFFIX}" for number in range(count)]
    workspace = Workspace(str(folder / "work"))
    return lambda pipeline: shards.build(pipeline, paths, plan, workspace)


JOBS = {
    "curate": curate_job,
    "synth-sampling": sampling_job,
    "synth-checking": checking_job,
    "synth-writing": writing_job,
    "mine-negatives": shards_job,
}


@pytest.mark.parametrize("name", JOBS)
def test_the_job_of_every_pipeline(tmp_path: Path, name: str) -> None:
    """Template and graph name our image only, group by deterministic keys and stay small.

    500 sources (files, parts, runs) make the graph no larger than 5 do.
    """
    jobs = {}
    for count in (5, 500):
        folder = tmp_path / str(count)
        folder.mkdir()
        jobs[count] = write_job(folder / "job", JOBS[name](folder, count))
    job = jobs[500]
    assert job.images == {IMAGE}
    options = job.template["environment"]["sdkPipelineOptions"]["options"]
    assert options["number_of_worker_harness_threads"] == 1
    pool = job.template["environment"]["workerPools"][0]
    assert {c["containerImage"] for c in pool["sdkHarnessContainerImages"]} == {IMAGE}
    coders = job.key_coders()
    assert coders
    assert {key: str(coder) for key, coder in coders.items() if not coder.is_deterministic()} == {}
    assert job.template_bytes + job.pipeline_bytes < LIMIT
    assert abs(job.pipeline_bytes - jobs[5].pipeline_bytes) < 200
    assert abs(job.template_bytes - jobs[5].template_bytes) < 200


def test_a_list_in_the_graph_would_be_seen(tmp_path: Path) -> None:
    """The measure works: a list that is created in the graph makes it grow."""
    sizes = []
    for count in (5, 5000):
        names = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(count)]
        job = write_job(
            tmp_path / str(count), lambda p, n=names: p | beam.Create(n) | beam.Reshuffle()
        )
        sizes.append(job.pipeline_bytes)
    assert sizes[1] - sizes[0] > 100_000


def test_a_key_without_a_deterministic_coder_is_refused(tmp_path: Path) -> None:
    """The check of Dataflow's runner is on: two workers must not write a key differently."""

    class Loose(beam.coders.PickleCoder):
        pass

    class Key:
        pass

    beam.coders.registry.register_coder(Key, Loose)

    def build(pipeline: beam.Pipeline) -> None:
        pairs = pipeline | beam.Create([1]) | beam.Map(lambda x: (Key(), x))
        _ = pairs.with_output_types(tuple[Key, int]) | beam.GroupByKey()  # type: ignore[attr-defined]

    with pytest.raises(Exception, match=r"eterministic|with_output_types"):
        write_job(tmp_path / "job", build)


def test_the_command_writes_the_template_and_runs_nothing(
    tmp_path: Path, tiny_encoder: str
) -> None:
    """`curate -- --template_location` leaves the job's files and no output, and says so."""
    source = tmp_path / "rows.json"
    source.write_text('{"title": "A", "text": "B"}\n')
    (tmp_path / "job").mkdir()
    columns = '{title="title", text="text"}'
    table = f'curation.sources=[{{kind="json", path="{source}", columns={columns}}}]'
    result = run(
        *("curate", "--out", tmp_path / "out", "--set", table),
        *("--set", f'model.encoder="{tiny_encoder}"', "--", *arguments(tmp_path / "job")),
    )
    assert result.code == 0, result.err
    assert f"the job's template is in {tmp_path}/job/template.json; the job was not run" in (
        result.out
    )
    assert read_job(tmp_path / "job").images == {IMAGE}
    [work] = (tmp_path / "out").glob(".work-curate-*")
    assert sorted(path.name for path in work.iterdir()) == ["encoder", "graph"]
    assert not (tmp_path / "out/reports").exists()


SERVICE = [
    "--runner=DataflowRunner",
    "--project=p",
    "--region=r",
    "--temp_location=gs://bucket/temp",
    "--sdk_container_image=registry.example/p/image:1",
]


def without(*names: str) -> list[str]:
    return [a for a in SERVICE if not a.startswith(tuple(f"--{name}" for name in names))]


@pytest.mark.parametrize(
    ("beam_arguments", "out", "sources", "message"),
    [
        (without("project"), "gs://b/out", [], "needs --project; docs/dataflow.md"),
        (without("region", "temp_location"), "gs://b/out", [], "needs --region, --temp_location;"),
        (without("sdk"), "gs://b/out", [], "needs --sdk_container_image; .*how to build the image"),
        ([*SERVICE, "--temp_location=/tmp/x"], "gs://b/out", [], "--temp_location=/tmp/x must be"),
        ([*SERVICE, "--staging_location=tmp"], "gs://b/out", [], "--staging_location=tmp must be"),
        ([*SERVICE, "--sdk_container_image=i"], "gs://b/out", [], "names no registry"),
        (SERVICE, "out", [], "out = 'out' lies on this machine"),
        (SERVICE, "s3://b/out", [], "workers write to gs://"),
        (SERVICE, "gs://b/out", ["gs://b/a", "dumps/*.bz2"], r"sources\.1\.path = 'dumps/"),
        (SERVICE, "gs://b/out", ["package://p/x.xml"], r"sources\.0\.path = 'package://p/x.xml'"),
        (SERVICE, "gs://b/out", ["file:///data/x.xml"], "lies on this machine"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_fail_on_dataflow_is_said_before(
    beam_arguments: list[str], out: str, sources: list[str], message: str
) -> None:
    """One line names the option or key and its value."""
    tables = tuple(SourceConfig(kind="wikipedia", path=path) for path in sources)
    settings = {"curation": to_dict(CurationConfig(sources=tables))}
    with pytest.raises(ConfigError, match=message):
        runner.check(beam_arguments, out, settings)


@pytest.mark.parametrize("key", ["thresholds", "word_lists", "target_path"])
def test_other_files_that_workers_open_are_refused(key: str) -> None:
    """Workers open them too."""
    with pytest.raises(ConfigError, match=rf"curation\.{key} = 'mine.toml' lies"):
        runner.check(SERVICE, "gs://b/out", {"curation": {key: "mine.toml"}})


def test_what_no_worker_opens_may_lie_here() -> None:
    """Evaluation sets become hashes where the job is built; a hub name is no file."""
    settings = {
        "decontamination": {"sets": [{"path": "beir/scifact"}]},
        "sources": [{"kind": "hf", "path": "owner/name"}],
    }
    runner.check(SERVICE, "gs://b/out", {"curation": settings})


@pytest.mark.parametrize("path", ["gs://b/x.bz2", "https://d.example/x.bz2", "s3://b/x.bz2"])
def test_a_complete_job_passes(path: str) -> None:
    """Whatever workers can open by URL is fine."""
    config = CurationConfig(sources=(SourceConfig(kind="wikipedia", path=path),))
    runner.check(SERVICE, "gs://b/out", {"curation": to_dict(config)})


def test_other_runners_are_not_asked_for_dataflows_options() -> None:
    """Flink and the portable runner may share a file system with this machine."""
    runner.check(["--runner=FlinkRunner"], "out", {"curation": {"path": "x"}})


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Google's packages the command says what to install."""
    monkeypatch.setattr(remote, "_GCP_PACKAGES", ("apitools", "google.cloud.absent_package"))
    with pytest.raises(ConfigError, match=r"needs google.cloud.absent_package, .*'\.\[gcp\]'"):
        runner.check(SERVICE, "gs://b/out", {})


def test_synth_refuses_a_template() -> None:
    """Its second job depends on answers; the first alone would be of no use."""
    with pytest.raises(ConfigError, match="asks the model between two jobs"):
        synth_command.refuse_template(["--template_location=gs://b/t"])


@pytest.mark.parametrize("command", ["curate", "synth", "mine-negatives"])
def test_commands_check_before_they_write(tmp_path: Path, command: str) -> None:
    """Status 2, and nothing in the output folder."""
    source = tmp_path / "x.xml"
    source.write_text("<mediawiki/>")
    table = f'curation.sources=[{{kind="wikipedia", path="{source}"}}]'
    result = run(command, "--out", tmp_path / "out", "--set", table, "--", *without("region"))
    assert result.code == 2
    assert result.err.startswith(f"{command}: error: --runner=DataflowRunner needs --region;")
    assert not (tmp_path / "out").exists()


def test_answers_need_a_local_folder() -> None:
    """With outputs in a store, synth names the key that says where answers are kept."""
    config = load(None, ["out=gs://b/out"])
    with pytest.raises(ConfigError, match=r"gs://b/out/responses; set synthesis\.responses"):
        synth_command.responses_folder(config)
    config = load(None, ["out=gs://b/out", "synthesis.responses=answers"])
    assert synth_command.responses_folder(config) == "answers"
