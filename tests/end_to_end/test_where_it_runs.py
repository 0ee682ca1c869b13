"""The same bytes wherever curation runs: workers, files, job service, remote storage."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import fsspec
import pyarrow.parquet as pq
import pytest

from curation.errors import InputError
from pipelines import runner
from tests import builders
from tests.command_line import Result, digests, leftovers, parts_only, run

OUTPUTS = ("documents", "pairs", "rejects/curate")
CONFIG = """\
[model]
encoder = "{encoder}"

[curation]
part_mb = 0.02

[[curation.sources]]
kind = "c4"
path = "{corpus}/c4-*.json.gz"
language = "fr"

[[curation.sources]]
kind = "wikipedia"
path = "{corpus}/enwiki-*.xml.bz2"
"""


def c4_rows() -> list[Any]:
    """A hundred pages, a third of them twice, and some without a title line."""
    rows: list[Any] = [
        {"text": f"{a['title']}\n{a['text']}", "url": f"https://fr.example/{a['title']}"}
        for a in builders.articles("fr", 100)
    ]
    copies = [row | {"url": row["url"] + "?again"} for row in rows[::3]]
    untitled = [{"text": f"Une phrase sans titre, numéro {n}."} for n in range(10)]
    return [*rows, *copies, *untitled]


def wikipedia_pages() -> list[str]:
    """Sixty articles, some in an older version as well, some too short."""
    found = builders.articles("en", 60)
    pages = [builders.page_xml(a["title"], a["text"], i + 1) for i, a in enumerate(found)]
    old = [
        builders.page_xml(a["title"], f"{a['text']} It is old.", i + 1, date="2019-01-01")
        for i, a in enumerate(found[::5])
    ]
    stubs = [builders.page_xml(f"Stub {n}", "A stub.", 900 + n) for n in range(5)]
    return [*pages, *old, *stubs]


def write_corpus(folder: Path, files: int) -> Path:
    """Write the corpus in so many files of each kind; return the folder."""
    folder.mkdir(parents=True)
    rows, pages = c4_rows(), wikipedia_pages()
    for number in range(files):
        builders.write_json_lines(folder / f"c4-{number:02d}.json.gz", rows[number::files])
        builders.write_dump(folder / f"enwiki-{number:02d}.xml.bz2", pages[number::files])
    return folder


@dataclass(frozen=True)
class Baseline:
    """One worker in memory over one file of each kind, and what it wrote."""

    root: Path
    encoder: str
    parts: dict[str, str]

    def curate(self, out: object, *beam_arguments: str, files: int = 7, workers: int = 1) -> Result:
        """Run `curate` over the corpus in so many files."""
        corpus = self.root / f"corpus-{files}"
        if not corpus.exists():
            write_corpus(corpus, files)
        config = self.root / f"run-{files}.toml"
        config.write_text(CONFIG.format(encoder=self.encoder, corpus=corpus))
        return run(
            *("curate", "--config", config, "--out", out, "--set", f"runner.workers={workers}"),
            *(("--", *beam_arguments) if beam_arguments else ()),
        )


def parts_of(out: Path) -> dict[str, str]:
    return parts_only(digests(*(out / name for name in OUTPUTS)))


@pytest.fixture(scope="module")
def baseline(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    root = tmp_path_factory.mktemp("where-it-runs")
    made = Baseline(root, tiny_encoder, {})
    result = made.curate(root / "out", files=1)
    assert result.code == 0, result.err
    return Baseline(root, tiny_encoder, parts_of(root / "out"))


def test_the_baseline_has_something_of_everything(baseline: Baseline) -> None:
    """Several parts of documents and of pairs, duplicates and older versions among the rejects."""
    for folder in ("documents/", "pairs/"):
        assert sum(name.startswith(folder) for name in baseline.parts) > 1
    rejects = pq.read_table(baseline.root / "out/rejects/curate/part-00000.parquet")
    assert {"duplicate_text", "older_version", "no_title_line"} <= set(
        rejects["reason"].to_pylist()
    )


@pytest.mark.parametrize("files", [7, 50])
def test_the_number_of_files_does_not_show(baseline: Baseline, tmp_path: Path, files: int) -> None:
    """One, 7 and 50 files: every part has the same digest."""
    result = baseline.curate(tmp_path / "out", files=files)
    assert result.code == 0, result.err
    assert parts_of(tmp_path / "out") == baseline.parts
    assert leftovers(tmp_path / "out") == []


@pytest.fixture
def job_server(tmp_path: Path) -> Iterator[str]:
    """Beam's own job service in a process of its own; its address."""
    port_file = tmp_path / "server" / "port"
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    options = [f"--port_file={port_file}", f"--staging_dir={tmp_path / 'staging'}"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            deadline = time.monotonic() + 60
            while not port_file.exists():
                assert server.poll() is None, "the job service ended"
                assert time.monotonic() < deadline, "the job service did not start"
                time.sleep(0.05)
            yield f"localhost:{port_file.read_text()}"
        finally:
            server.terminate()


def test_the_job_service_gives_the_same_bytes(
    baseline: Baseline, tmp_path: Path, job_server: str
) -> None:
    """The job goes to a server by gRPC, which has workers of this process do it."""
    result = baseline.curate(
        tmp_path / "out",
        "--runner=PortableRunner",
        f"--job_endpoint={job_server}",
        "--environment_type=LOOPBACK",
    )
    assert result.code == 0, result.err
    assert parts_of(tmp_path / "out") == baseline.parts
    assert leftovers(tmp_path / "out") == []


def _fail(error: Exception) -> None:
    raise error


def test_an_error_comes_back_from_the_job_service(job_server: str) -> None:
    """A worker's error is the command's own, in one line."""
    options = [f"--job_endpoint={job_server}", "--environment_type=LOOPBACK"]
    pipeline = runner.create_pipeline(["--runner=PortableRunner", *options], 1, 1)
    _ = pipeline | beam.Create([InputError("far away")]) | beam.Map(_fail)
    with pytest.raises(InputError, match=r"^far away$"):
        runner.run(pipeline)


def copy_of(filesystem: Any, root: str, target: Path) -> Path:
    """Copy what a remote folder holds to a local one."""
    for name in filesystem.find(root):
        path = target / name.partition(root)[2].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(filesystem.cat_file(name))
    return target


def test_outputs_and_workspace_in_a_store(baseline: Baseline, tmp_path: Path) -> None:
    """No rename, no folder, no local path: spills, status files and parts go by URL."""
    result = baseline.curate("memory://bucket/run")
    assert result.code == 0, result.err
    store = fsspec.filesystem("memory")
    out = copy_of(store, "/bucket/run", tmp_path / "copy")
    assert parts_of(out) == baseline.parts
    assert leftovers(out) == []
    again = baseline.curate("memory://bucket/run")
    assert again.out.startswith("curate: up to date")
    store.rm("/bucket", recursive=True)


def test_two_processes_share_a_store(
    baseline: Baseline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers find each other's spills and decisions by URL; each has its own connection."""
    monkeypatch.setitem(fsspec.config.conf, "local", {"auto_mkdir": True})
    monkeypatch.setenv("FSSPEC_LOCAL_AUTO_MKDIR", "true")
    result = baseline.curate(f"local://{tmp_path}/out", workers=2)
    assert result.code == 0, result.err
    assert parts_of(tmp_path / "out") == baseline.parts


def test_a_list_that_a_worker_made_is_not_read_from_a_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store's listing is fetched anew: another process may have written since."""
    from curation import storage

    calls = []
    store = fsspec.filesystem("memory")
    monkeypatch.setattr(type(store), "invalidate_cache", lambda *_: calls.append(1), raising=False)
    reads: list[Callable[[str], object]] = [storage.list_files, storage.exists]
    for read in reads:
        before = len(calls)
        read("memory://nowhere")
        assert len(calls) > before
