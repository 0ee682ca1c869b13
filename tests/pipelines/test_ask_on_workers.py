"""Asking from workers: shards, shares of the limits, and bundles that fail and come again."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import storage
from curation.errors import ConfigError, ServiceError
from curation.records import SAMPLE, Sample, to_table
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.response_shards import open_log, shard_file, shard_paths
from curation.synthesis.responses import ResponseLog
from pipelines.ask_on_workers import Ask, AskJob, shard_of, shard_samples
from pipelines.work import Workspace
from tests.llm_server import Reply, ScriptedServer
from tests.pipelines.asking import REQUESTS, Asking, make, own

__all__ = ["own"]


def sample(number: int) -> Sample:
    key = f"{number * 2_654_435_761 % 2**128:032x}"[::-1]
    return Sample(
        key, f"d:{number}", "", "en", "web", "p", 0, 0, 0.0, f"n{number}", "", "", [], "v"
    )


def job_for(folder: Path, url: str, count: int, shards: int, **options: Any) -> AskJob:
    """Write samples in two files of several row groups; return the job."""
    samples = [sample(number) for number in range(count)]
    paths = [str(folder / "a.parquet"), str(folder / "b.parquet")]
    for path, half in zip(paths, (samples[::2], samples[1::2]), strict=True):
        storage.write_parquet(path, to_table(half, SAMPLE), row_group_rows=3)
    settings = {"model": "m", "max_attempts": 1, "ask_on_workers": shards, "concurrency": shards}
    config = SynthesisConfig(**{"base_url": url, **settings, **options})
    responses = folder / "responses"
    responses.mkdir(exist_ok=True)
    missing = str(folder / "none.parquet")  # a part of which nothing was drawn
    return AskJob(
        run="r",
        config=config,
        workspace=Workspace(str(folder / "work")),
        responses=str(responses),
        sample_paths=(*paths, missing),
    )


def asked(server: ScriptedServer) -> Counter[str]:
    return Counter(body["messages"][0]["content"] for body in server.requests)


@given(key=st.integers(0, 2**128 - 1), shards=st.integers(1, 50))
def test_every_key_has_one_shard(key: int, shards: int) -> None:
    assert 0 <= shard_of(f"{key:032x}", shards) < shards


def test_shards_share_out_the_samples(tmp_path: Path) -> None:
    job = job_for(tmp_path, "http://x", 40, 3)
    found = [
        [s.key for path in job.sample_paths for s in shard_samples(path, shard, 3)]
        for shard in range(3)
    ]
    assert sorted(key for keys in found for key in keys) == sorted(sample(i).key for i in range(40))
    assert all(4 < len(keys) < 30 for keys in found)


def test_a_bundle_that_fails_halfway_asks_nothing_twice(tmp_path: Path) -> None:
    """The retry, on another worker too, finds the answers of the first attempt."""
    stopped = threading.Event()

    def script(body: dict[str, Any]) -> Reply:
        if len(server.requests) > 8 and not stopped.is_set():
            return Reply(status=401, raw=b'{"error": {"message": "quota"}}')
        return Reply("fine")

    with ScriptedServer(script) as server:
        job = job_for(tmp_path, server.url, 20, 1)
        worker = Ask(job)
        worker.setup()
        with pytest.raises(ServiceError, match="HTTP 401"):
            worker.process(0)
        stopped.set()
        refused = server.requests[8:]
        answered = set(asked(server)) - {b["messages"][0]["content"] for b in refused}
        assert len(answered) == 8
        worker.process(0)  # the same worker, its loop still good
        worker.process(0)
        worker.teardown()
        other = Ask(job)
        other.setup()
        other.process(0)
        other.teardown()
    counts = asked(server)
    assert all(counts[name] == 1 for name in answered)
    assert counts.total() - len(refused) == len(counts) == 20
    log = open_log(job.responses)
    assert all(sample(i).key in log for i in range(20))


def test_workers_keep_to_their_shard_and_one_loop(tmp_path: Path) -> None:
    """Each shard appends to a log of its own; one worker may take several, one after the other."""
    with ScriptedServer(lambda _: Reply("fine")) as server:
        job = job_for(tmp_path, server.url, 30, 3)
        worker = Ask(job)
        worker.setup()
        loop = worker._runner.get_loop()
        for shard in (2, 0, 1):
            worker.process(shard)
        assert worker._runner.get_loop() is loop
        worker.teardown()
    assert asked(server) == Counter(f"n{i}" for i in range(30))
    paths = shard_paths(job.responses)
    assert [Path(path).name for path in paths] == [shard_file(shard) for shard in range(3)]
    open_log(job.responses)
    assert all(sample(i).key in ResponseLog(job.responses) for i in range(30))


def test_failed_requests_are_counted_and_asked_by_the_next_attempt(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        server.script = lambda b: Reply(status=503 if b["messages"][0]["content"] == "n3" else 200)
        job = job_for(tmp_path, server.url, 6, 1)
        worker = Ask(job)
        worker.setup()
        worker.process(0)
        [facts] = job.workspace.facts("ask")
        assert (facts["asked"], facts["failures"]) == (6, {"HTTP 503": 1})
        server.script = lambda _: Reply("fine")
        server.requests.clear()
        worker.process(0)
        worker.teardown()
    assert asked(server) == {"n3": 1}


def test_a_worker_that_sees_another_disk_asks_nothing(tmp_path: Path) -> None:
    """Answers that nobody could read would be paid for in vain."""
    with ScriptedServer() as server:
        job = job_for(tmp_path, server.url, 6, 1)
        (tmp_path / "responses").rmdir()
        worker = Ask(job)
        worker.setup()
        with pytest.raises(ConfigError, match=r"a worker does not see .*/responses; set"):
            worker.process(0)
        worker.teardown()
    assert server.requests == []


@pytest.mark.parametrize("cap", ["max_requests", "max_tokens"])
def test_caps_hold_over_all_attempts(tmp_path: Path, cap: str) -> None:
    """A bundle that comes again has what its first attempt left; another run starts anew."""
    most = 5 if cap == "max_requests" else 5 * 15 + 90  # an answer takes 15; reserved are about 83
    with ScriptedServer(lambda _: Reply("fine")) as server:
        job = job_for(tmp_path, server.url, 20, 1, **{cap: most})
        worker = Ask(job)
        worker.setup()
        for _ in range(3):
            worker.process(0)
            [facts] = job.workspace.facts("ask")
            assert f"synthesis.{cap}" in facts["budget"]
        first = len(server.requests)
        assert 4 <= first <= 11
        again = Ask(replace(job, run="s"))
        again.setup()
        again.process(0)
        for done in (worker, again):
            done.teardown()
    assert len(server.requests) > first
    assert set(asked(server).values()) == {1}


def test_the_same_questions_wherever_they_are_asked(
    own: Asking, tmp_path: Path, tiny_encoder: str
) -> None:
    """Launcher, one worker, or three shards in two processes: every request once, equal rows."""
    runs = {0: own, 1: make(tmp_path / "one", tiny_encoder), 3: make(tmp_path / "3", tiny_encoder)}
    with ScriptedServer(_question) as server:
        for workers, asking in runs.items():
            server.requests.clear()
            where = f"synthesis.ask_on_workers={workers}"
            more = ["--set", "runner.workers=2"] if workers == 3 else []
            result = asking.synth(server.url, where, *more)
            assert result.code == 0, result.err
            assert "(18 answers asked, 0 kept from before" in result.out
            assert set(asked(server).values()) == {1}
            assert len(server.requests) == REQUESTS
    assert runs[0].questions() == runs[1].questions() == runs[3].questions() != []


def _question(body: dict[str, Any]) -> Reply:
    """Return a question that only this prompt gets."""
    number = sum(body["messages"][0]["content"].encode()) % 1000
    return Reply(f"Which keeper climbed the tower in the year {number}?")


def test_a_refusal_on_a_worker_ends_the_run_in_one_line(own: Asking) -> None:
    error = b'{"error": {"message": "no credit", "code": "insufficient_quota"}}'
    with ScriptedServer(lambda _: Reply(status=429, raw=error)) as server:
        result = own.synth(server.url, "synthesis.ask_on_workers=2")
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith(f"synth: error: {server.url} refused: HTTP 429")


def test_a_cap_met_on_workers_ends_with_its_own_status(own: Asking) -> None:
    """What was paid for is kept: the next run asks for the rest."""
    with ScriptedServer(_question) as server:
        workers = "synthesis.ask_on_workers=2"
        result = own.synth(server.url, workers, "synthesis.max_requests=8")
        assert result.code == 3
        assert "synth: error: 2 workers asked; stopped at synthesis.max_requests = 4" in result.err
        assert len(server.requests) == 8
        done = own.synth(server.url, workers)
    assert f"({REQUESTS - 8} answers asked, 8 kept from before" in done.out
    assert len(server.requests) == REQUESTS


def test_a_part_of_which_nothing_was_drawn_is_passed_over(own: Asking) -> None:
    """Such a part has no file of samples."""
    few = ["synthesis.documents_per_language=1", 'synthesis.languages=["en"]']
    with ScriptedServer(_question) as server:
        result = own.synth(server.url, "synthesis.ask_on_workers=2", *few)
    assert result.code == 0, result.err
    assert "(1 answers asked, 0 kept from before" in result.out


def test_a_limit_that_cannot_be_shared_is_refused_before_asking(own: Asking) -> None:
    with ScriptedServer(_question) as server:
        result = own.synth(server.url, "synthesis.ask_on_workers=5")
    assert (
        "synthesis.concurrency = 4 cannot be shared by synthesis.ask_on_workers = 5" in result.err
    )
    assert server.requests == []
