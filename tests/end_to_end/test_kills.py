"""kill -9 at a chosen write, then a second run: as if nothing had happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import digests, leftovers, rows_without_times, run, run_until, start
from tests.end_to_end import corpus
from tests.end_to_end.conftest import Run
from tests.llm_server import Reply

CURATED = ("documents", "pairs", "rejects/curate")
MINED_FROM = ("documents", "pairs", "questions")
KILLS = [
    ("curate", (), "status/extract/", True, CURATED),
    ("curate", (), "documents/part-00000.parquet", False, CURATED),
    ("curate", (), "documents/_SUCCESS", True, CURATED),
    ("synth", CURATED, "/samples/part-00000.parquet", True, ("questions",)),
    ("synth", CURATED, "question-ranks/part-00001.parquet", True, ("questions", "question-ranks")),
    ("synth", CURATED, "/decided/part-00001.parquet", False, ("questions",)),
    ("synth", CURATED, "questions/length=0-500/part-00000.parquet", False, ("questions",)),
    ("mine-negatives", MINED_FROM, ".dense.npy", True, ("training", "pool")),
    ("mine-negatives", MINED_FROM, "mined-00000/ids", True, ("training", "pool")),
    ("mine-negatives", MINED_FROM, "training/rows-", False, ("training", "pool")),
    ("mine-negatives", MINED_FROM, "length=0-500/part-00000", False, ("training", "pool")),
    ("train", ("training",), "state/state-1-2", False, ("model",)),
    ("train", ("training",), "state/position.json", True, ("model",)),
    ("train", ("training",), "model/manifest.json", False, ("model",)),
]


@pytest.mark.parametrize(
    ("stage", "inputs", "file", "complete", "outputs"),
    KILLS,
    ids=[f"{stage}-{'after' if c else 'amid'}-{f.strip('/')}" for stage, _, f, c, _ in KILLS],
)
def test_a_killed_stage_goes_on(
    finished: Run,
    out_with: Callable[..., Path],
    tmp_path: Path,
    stage: str,
    inputs: tuple[str, ...],
    file: str,
    complete: bool,
    outputs: tuple[str, ...],
) -> None:
    """The rerun ends with the bytes of an undisturbed run and leaves no temporary file."""
    out = out_with(*inputs)
    out.mkdir(exist_ok=True)
    common = (stage, "--config", finished.config, "--out", out)
    assert run_until(file, *common, complete=complete) == -9
    assert leftovers(out) != []
    result = run(*common)
    assert result.code == 0, result.err
    for name in outputs:
        if name == "questions":  # their answers were asked for anew, at another time
            assert rows_without_times(out / name) == rows_without_times(finished.out / name)
        else:
            assert digests(out / name) == digests(finished.out / name)
    assert leftovers(out) == []


def test_answers_paid_before_a_kill_are_not_asked_again(
    finished: Run, out_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run killed amid its requests every logged answer is kept."""
    out = out_with(*CURATED)
    common = ("synth", "--config", finished.config, "--out", out)
    before = len(finished.server.requests)

    def slow_after_ten(body: dict[str, Any]) -> Reply:
        late = len(finished.server.requests) - before > 10
        reply = corpus.answer(body)
        return Reply(reply.text, reply.finish_reason, delay=30.0 if late else 0.0)

    monkeypatch.setattr(finished.server, "script", slow_after_ten)
    process = start(*common)
    deadline = time.monotonic() + 100
    while len(finished.server.requests) - before < 12 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -9
    monkeypatch.setattr(finished.server, "script", corpus.answer)
    log = out / "responses/responses.jsonl"
    logged = len(log.read_text().splitlines())
    assert logged == 10
    log.write_text(log.read_text()[:-20])  # as if the last line had been cut short
    result = run(*common)
    assert "(27 answers asked, 9 kept from before" in result.out
    kept = rows_without_times(out / "questions")
    assert kept == rows_without_times(finished.out / "questions")
    assert leftovers(out) == []
