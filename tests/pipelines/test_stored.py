"""What lies in the working folder instead of in the graph comes back equal."""

from __future__ import annotations

import pickle
from pathlib import Path

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from curation.splitting import Split
from pipelines import runner
from pipelines.stored import Elements, store
from pipelines.work import Tally, Watch, Workspace
from tests.pipelines.test_dataflow import synth_job


def test_elements_come_out_as_they_were_put_in(tmp_path: Path) -> None:
    """Any values, none lost, none twice."""
    splits = [Split(number % 3, f"file-{number}", number) for number in range(50)]
    pipeline = runner.create_pipeline([], 1, 1)
    assert_that(pipeline | Elements(splits, Workspace(str(tmp_path))), equal_to(splits))
    runner.run(pipeline)


def test_equal_names_with_other_values_do_not_meet(tmp_path: Path) -> None:
    """The file's name carries a digest of what it holds."""
    workspace = Workspace(str(tmp_path))
    first, second, third = (store(workspace, "x", value) for value in ([1], [2], [1]))
    assert (first.load(), second.load()) == ([1], [2])
    assert first.path == third.path != second.path


def test_a_job_travels_as_the_path_of_its_fields(tmp_path: Path) -> None:
    """Five thousand parts pickle into a few hundred bytes, and come back."""
    job = synth_job(tmp_path, 5000)
    data = pickle.dumps(job)
    assert len(data) < 500
    assert pickle.loads(data) == job


def test_finished_statuses_are_read_once(tmp_path: Path) -> None:
    """A progress line that polls does not read the same files again and again."""
    workspace = Workspace(str(tmp_path))
    watch = Watch(workspace)
    assert watch.statuses("extract") == []
    done, open_ = Tally(workspace, "extract", "a"), Tally(workspace, "extract", "b")
    done.finish()
    open_.tick(0.25)
    assert [s["share"] for s in watch.statuses("extract")] == [1.0, 0.25]
    Path(workspace.status_path("extract", "a")).write_text("{not read again}")
    open_.finish()
    assert [s["done"] for s in watch.statuses("extract")] == [True, True]


def test_a_store_is_asked_every_ten_seconds(tmp_path: Path) -> None:
    """Listing a bucket at each redraw of a line would be slow and billed."""
    workspace = Workspace(f"memory://{tmp_path.name}")
    watch = Watch(workspace)
    assert watch.statuses("extract") == []
    Tally(workspace, "extract", "a").finish()
    assert watch.statuses("extract") == []
    assert len(workspace.statuses("extract")) == 1


def test_the_elements_are_not_in_the_graph(tmp_path: Path) -> None:
    """The graph holds the path of the list."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = pipeline | Elements([f"secret-{n}" for n in range(9)], Workspace(str(tmp_path)))
    assert b"secret-1" not in pipeline.to_runner_api().SerializeToString()
