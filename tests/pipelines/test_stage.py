"""A stage's life: fingerprint, up to date or not, counts, what is left behind."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curation import manifest
from pipelines.stage import Stage, label_counts, reject_counts
from pipelines.work import Tally, Workspace, total_counts


def stage(folder: Path, **changes: Any) -> Stage:
    options: dict[str, Any] = {
        "name": "synth",
        "out": str(folder),
        "outputs": ("questions", "rejects/synth"),
        "config": {"seed": 1, "table": {"b": 1, "a": 2}},
        "inputs": ["digest"],
    }
    return Stage(**(options | changes))


def complete(made: Stage) -> None:
    """Write all outputs of a stage as if it had run."""
    made.begin()
    for output in made.outputs:
        part = Path(made.directory(output)) / "part-00000.parquet"
        part.write_bytes(b"rows")
        listed = {"name": part.name, "rows": 3, "bytes": 4, "sha256": ""}
        manifest.publish(made.directory(output), made.description(output), [listed])


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"out": "/elsewhere"}, True),
        ({"config": {"table": {"a": 2, "b": 1}, "seed": 1}}, True),
        ({"config": {"seed": 2}}, False),
        ({"inputs": ["other"]}, False),
        ({"inputs": ["digest", "digest"]}, False),
        ({"name": "curate"}, False),
    ],
    ids=["same", "out", "key-order", "config", "input", "inputs", "name"],
)
def test_the_fingerprint_follows_what_the_result_depends_on(
    tmp_path: Path, changes: dict[str, Any], is_same: bool
) -> None:
    """Config and inputs change it; where the output lies and the order of keys do not."""
    same = stage(tmp_path, **changes).fingerprint == stage(tmp_path).fingerprint
    assert same == is_same


def test_a_complete_stage_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All outputs complete with the same fingerprint; a changed config is not."""
    made = stage(tmp_path)
    assert not made.is_up_to_date()
    complete(made)
    assert made.is_up_to_date()
    assert capsys.readouterr().out == "synth: up to date (3 questions, 3 rejects/synth)\n"
    assert not stage(tmp_path, config={}).is_up_to_date()
    (tmp_path / "rejects/synth/_SUCCESS").unlink()
    assert not stage(tmp_path).is_up_to_date()
    assert capsys.readouterr().out == ""


def test_begin_keeps_an_equal_run_and_drops_all_else(tmp_path: Path) -> None:
    """Parts of a killed equal run stay, temporary files and other fingerprints' pieces go."""
    made = stage(tmp_path)
    made.begin()
    kept = [tmp_path / "questions/length=0-500/part-00000.parquet"]
    kept.append(Path(made.workspace.path("runs", "a.parquet")))
    dropped = [tmp_path / "questions/length=0-500/.writing-x1", tmp_path / ".questions-x/weights"]
    dropped.append(Path(stage(tmp_path, config={}).workspace.path("runs", "b.parquet")))
    others = [tmp_path / ".work-curate-0123456789abcdef/c", tmp_path / "documents/.writing-y"]
    for path in (*kept, *dropped, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    stage(tmp_path).begin()
    assert [path.exists() for path in (*kept, *dropped, *others)] == [
        *(True, True),
        *(False, False, False),
        *(True, True),
    ]
    stage(tmp_path, config={}).begin()
    assert not any(path.exists() for path in kept)


def test_begin_keeps_an_output_that_a_killed_run_completed(tmp_path: Path) -> None:
    """Its part is not written again, because the working folder says that it is done."""
    made = stage(tmp_path)
    complete(made)
    (tmp_path / "rejects/synth/_SUCCESS").unlink()
    stage(tmp_path).begin()
    assert (tmp_path / "questions/part-00000.parquet").read_bytes() == b"rows"
    assert (tmp_path / "questions/_SUCCESS").exists()
    assert not (tmp_path / "rejects/synth/part-00000.parquet").exists()


def test_an_up_to_date_stage_has_no_working_folder(tmp_path: Path) -> None:
    """A run killed after its last output leaves one; the next run takes it away."""
    made = stage(tmp_path)
    complete(made)
    Tally(made.workspace, "check", "a").finish()
    assert stage(tmp_path).is_up_to_date()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["questions", "rejects"]


def test_finish_says_what_was_read_written_and_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the next command, one with the reasons, the most frequent first."""
    made = stage(tmp_path)
    made.begin()
    counts = Counter({"rejects|copied|a|en": 1200, "rejects|refused|a|en": 2, "in|a": 9})
    counts["rejects|refused|b|fr"] = 1
    made.finish("9 documents", "3 questions", counts)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"synth: read 9 documents; wrote 3 questions to {tmp_path} in 0:0")
    assert first.endswith("; next: make mine-negatives")
    assert second == "  rejected 1,203: copied 1,200, refused 3"


def test_counts_by_label() -> None:
    """Tally keys split into their labels; kinds are told apart by the whole word."""
    counts = Counter({"in|b|x": 2, "in|a|y": 3, "inside|c": 9, "rejects|r|s|en": 4, "in": 1})
    assert list(label_counts(counts, "in")) == [((), 1), (("a", "y"), 3), (("b", "x"), 2)]
    assert reject_counts(counts) == {"r": 4}


def test_a_tally_is_visible_before_it_is_finished(tmp_path: Path) -> None:
    """An open element has a share and counts, but is not finished and not in the totals."""
    workspace = Workspace(str(tmp_path))
    tally = Tally(workspace, "extract", "a")
    tally.add("in", "wiki")
    tally.tick(0.25)
    tally.add("in", "wiki", count=4)
    tally.tick(0.5)  # less than a second later: not saved
    [status] = workspace.statuses("extract")
    assert (status["share"], status["counts"]) == (0.25, {"in|wiki": 1})
    assert workspace.finished("extract", "a") is None
    assert total_counts([status]) == {}
    tally.finish([workspace.path("x.parquet")], {"name": "p"})
    [stored] = workspace.statuses("extract")
    assert stored["outputs"] == ["x.parquet"]  # from the root: the folder may move
    done = workspace.finished("extract", "a")
    assert done == {
        "element": "a",
        "done": True,
        "share": 1.0,
        "counts": {"in|wiki": 5},
        "outputs": [workspace.path("x.parquet")],
        "part": {"name": "p"},
    }
    Tally(workspace, "extract", "b").finish()
    assert total_counts(workspace.statuses("extract")) == {"in|wiki": 5}
    assert workspace.statuses("other") == []


def test_the_description_goes_into_the_manifest(tmp_path: Path) -> None:
    """A manifest names stage, records, fingerprint, config and inputs, and the versions."""
    made = stage(tmp_path)
    complete(made)
    listed = json.loads((tmp_path / "questions/manifest.json").read_text())
    assert {k: listed[k] for k in ("stage", "records", "fingerprint", "config", "inputs")} == {
        "stage": "synth",
        "records": "questions",
        "fingerprint": made.fingerprint,
        "config": {"seed": 1, "table": {"a": 2, "b": 1}},
        "inputs": ["digest"],
    }
    assert set(listed["versions"]) >= {"threefold", "schema", "pyarrow", "tokenizers"}
