"""What a finished run of all stages leaves behind."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from curation.splits import SplitConfig
from curation.tokens import BUCKET_EDGES
from tests.command_line import leftovers
from tests.end_to_end import corpus
from tests.end_to_end.conftest import KEY, STAGES, Run

FOLDERS = ("documents", "pairs", "rejects/curate", "questions", "rejects/synth", "training")
SPLITS = SplitConfig(held_out=0.3)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all parts in the manifest's order."""
    listed = json.loads((folder / "manifest.json").read_text())
    return [
        row for part in listed["parts"] for row in pq.read_table(folder / part["name"]).to_pylist()
    ]


def test_every_source_gives_its_documents(finished: Run) -> None:
    """Counts by source and language follow from what the corpus holds."""
    rows = rows_of(finished.out / "documents")
    assert Counter((row["source"], row["language"]) for row in rows) == {
        ("wikipedia", "en"): 21,
        ("c4", "fr"): 22,
        ("guide", "es"): 20,
        ("cc-news", "en"): 4,
    }
    assert len({row["id"] for row in rows}) == 67


def test_pairs_by_relation(finished: Run) -> None:
    """Each document gives its title pair, articles also abstract and section pairs."""
    rows = rows_of(finished.out / "pairs")
    assert Counter(row["relation"] for row in rows) == {
        "title-body": 68,  # one by the title of a redirect
        "title-abstract": 21,
        "section": 21,
        "parallel": 4,
    }
    assert len({row["id"] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("folder", "reasons"),
    [
        (
            "rejects/curate",
            {
                "characters_too_low": 1,
                "duplicate_text": 1,
                "fuzzy": 1,
                "http_status": 1,
                "malformed_xml": 1,
                "missing_text": 1,
                "missing_title": 1,
                "no_title_line": 1,
                "not_html": 1,
                "older_version": 1,
                "placeholders": 1,
                "redirect_to_dropped": 1,  # to the older version of its article
                "too_short": 1,
            },
        ),
        ("rejects/synth", {"too_short": 2, "truncated": 2}),
    ],
    ids=["curate", "synth"],
)
def test_rejects_carry_their_reason(finished: Run, folder: str, reasons: dict[str, int]) -> None:
    """Every fault of the corpus is a row with its reason."""
    assert Counter(row["reason"] for row in rows_of(finished.out / folder)) == reasons


def test_duplicates_and_old_versions_name_what_was_kept(finished: Run) -> None:
    """The copy points to the page kept; the older version of a page is the one that went."""
    rejects = {row["reason"]: row for row in rows_of(finished.out / "rejects/curate")}
    kept = {row["id"]: row for row in rows_of(finished.out / "documents")}
    assert rejects["duplicate_text"]["id"] == "wikipedia:en:900"
    assert rejects["duplicate_text"]["value"] == "wikipedia:en:2"
    assert rejects["older_version"]["id"] == "wikipedia:en:1"
    assert kept["wikipedia:en:1"]["date"] == "2023-05-01"


def test_questions_stand_on_their_paragraph(finished: Run) -> None:
    """A question's paragraph lies where it says in its document; lengths are counted."""
    documents = {row["id"]: row for row in rows_of(finished.out / "documents")}
    rows = rows_of(finished.out / "questions")
    asked = [row for row in rows if row["relation"] == "question-document"]
    assert len(asked) == len({row["query"] for row in asked}) == 36 - 4
    for row in rows:
        text = documents[row["document_id"]]["text"]
        assert text[row["paragraph_start"] :].startswith(row["paragraph"])
        whole = row["relation"] == "question-document"
        assert row["positive"] == (text if whole else row["paragraph"])
        assert row["query"].endswith("?")
        assert row["query_tokens"] > 5 < row["positive_tokens"]
        assert (row["model"], row["prompt_version"]) == ("scripted", f"base-{row['language']}-1")


def test_no_held_out_document_is_trained_on(finished: Run) -> None:
    """Held-out documents exist, have questions, and are in no row, neither side."""
    rows = rows_of(finished.out / "training")
    used = {i for row in rows for i in (*row["positive_ids"], *row["negative_ids"])}
    held = {r["id"] for r in rows_of(finished.out / "documents") if SPLITS.is_held_out([r["id"]])}
    asked = {row["document_id"] for row in rows_of(finished.out / "questions")}
    assert 10 < len(held) < 40
    assert held & asked
    assert not held & used
    assert len(used) > 30


def test_negatives_are_never_the_positive(finished: Run) -> None:
    """Three negatives a row, distinct, none of them a positive of the same query."""
    rows = rows_of(finished.out / "training")
    positives: dict[str, set[str]] = {}
    for row in rows:
        positives.setdefault(row["query"], set()).update(row["positives"])
    for row in rows:
        assert len(set(row["negatives"])) == 3
        assert not positives[row["query"]] & set(row["negatives"])
        assert row["query"] not in row["negatives"]
        assert row["negative_ranks"] == sorted(row["negative_ranks"])
        assert row["negative_scores"] == sorted(row["negative_scores"], reverse=True)
        assert len(row["negative_ids"]) == len(row["negative_scores"]) == 3


@pytest.mark.parametrize("folder", ["pairs", "questions", "training"])
def test_shards_are_sorted_by_length_inside_their_bucket(finished: Run, folder: str) -> None:
    """A row lies in the bucket of its longest side, after all shorter ones of the bucket."""
    listed = json.loads((finished.out / folder / "manifest.json").read_text())["parts"]
    lengths: dict[str, list[int]] = {}
    for part in listed:
        bucket = part["name"].partition("/")[0].removeprefix("length=")
        for row in pq.read_table(finished.out / folder / part["name"]).to_pylist():
            length = row.get("length") or max(row["query_tokens"], row["positive_tokens"])
            lengths.setdefault(bucket, []).append(length)
    for bucket, found in lengths.items():
        low, high = map(int, bucket.split("-"))
        assert high in BUCKET_EDGES
        assert found == sorted(found)
        assert low <= found[0]
        assert found[-1] <= high
    assert len(lengths) == {"pairs": 3, "questions": 2, "training": 1}[folder]


@pytest.mark.parametrize("folder", [*FOLDERS, "model", "metrics"])
def test_a_manifest_tells_the_truth(finished: Run, folder: str) -> None:
    """Names, rows, bytes and sha256 are those of the files, and nothing else lies there."""
    directory = finished.out / folder
    listed = json.loads((directory / "manifest.json").read_text())
    for part in listed["parts"]:
        data = (directory / part["name"]).read_bytes()
        assert part["sha256"] == hashlib.sha256(data).hexdigest()
        assert part["bytes"] == len(data)
        if part["name"].endswith(".parquet"):
            assert part["rows"] == pq.read_metadata(directory / part["name"]).num_rows > 0
    assert listed["rows"] == sum(part["rows"] for part in listed["parts"])
    names = {part["name"] for part in listed["parts"]} | {"manifest.json", "_SUCCESS"}
    found = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}
    assert found == names


def test_nothing_is_left_over(finished: Run) -> None:
    """No working folder and no temporary file outlives the run, but for scores and vectors."""
    assert leftovers(finished.out) == []
    assert {path.name.partition("-")[0] for path in finished.out.iterdir()} == {
        "scores",
        *("documents", "pairs", "rejects", "question", "questions", "responses"),
        *("training", "pool", "vectors", "model", "metrics", "reports", "README.md"),
    }


def test_metrics_of_every_head_before_and_after(finished: Run) -> None:
    """metrics.json holds each mode's averages for both models; the table on stdout shows them."""
    results = json.loads((finished.out / "metrics/metrics.json").read_text())
    assert results["precision"] in ("bf16", "fp32")
    [found] = results["sets"]
    held = [
        row
        for row in rows_of(finished.out / "questions")
        if row["relation"] == "question-document" and SPLITS.is_held_out([row["document_id"]])
    ]
    assert (found["name"], found["documents"], found["queries"]) == ("questions", 40, len(held))
    modes = ["dense", "sparse", "multi-vector", "dense+sparse", "all"]
    scores = {(row["model"], row["mode"]): row["measures"] for row in found["scores"]}
    assert list(scores) == [(model, mode) for model in ("before", "after") for mode in modes]
    out = finished.results["evaluate"].out.replace("*", "")
    for mode in modes:
        cells = []
        for measure in ("nDCG@10", "Recall@100"):
            for when in ("before", "after"):
                value = scores[when, mode][measure]
                assert 0.0 <= value["low"] <= value["mean"] <= value["high"] <= 1.0
                cells.append(f"{value['mean']:.4f}")
        assert [mode, *cells] in [line.split() for line in out.splitlines()]
    assert scores["before", "dense"]["Recall@100"]["mean"] == 1.0


@pytest.mark.parametrize(
    ("stage", "following"), list(zip(STAGES, [*STAGES[1:], None], strict=True)), ids=STAGES
)
def test_a_stage_says_what_to_run_next(finished: Run, stage: str, following: str | None) -> None:
    """The summary line names input, output and the next command; the last names none."""
    [line] = [x for x in finished.results[stage].out.splitlines() if x.startswith(f"{stage}: read")]
    assert f" to {finished.out} in " in line
    assert line.endswith(f"; next: make {following}") if following else "next:" not in line


def test_the_training_log_has_a_line_per_step(finished: Run) -> None:
    """Heads warm up first, then all trains; every loss is a number."""
    lines = (finished.out / "reports/train.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    assert [step["phase"] for step in steps][-4:] == ["finetune"] * 4
    assert {step["phase"] for step in steps[:-4]} == {"warmup"}
    assert all(step["loss"] > 0 and step["gradient_norm"] > 0 for step in steps)


def test_the_checkpoint_loads_with_transformers(finished: Run, tiny_encoder: str) -> None:
    """AutoModel reads the trained encoder, which differs from the first; heads lie beside it."""
    trained = AutoModel.from_pretrained(finished.out / "model", add_pooling_layer=False)
    before = AutoModel.from_pretrained(tiny_encoder, add_pooling_layer=False)
    tokens = AutoTokenizer.from_pretrained(finished.out / "model")("Le phare", return_tensors="pt")
    with torch.inference_mode():
        hidden = trained(**tokens).last_hidden_state
        moved = (hidden - before(**tokens).last_hidden_state).abs().max()
    assert hidden.shape[2] == 32
    assert float(moved) > 0
    sparse = torch.load(finished.out / "model/sparse_linear.pt", weights_only=True)
    vectors = torch.load(finished.out / "model/colbert_linear.pt", weights_only=True)
    assert sparse["weight"].shape == (1, 32)
    assert vectors["weight"].shape == (32, 32)


def test_the_api_key_is_sent_and_never_written(finished: Run) -> None:
    """The server got the key; no file under OUT and nothing printed holds it."""
    assert finished.authorizations == {f"Bearer {KEY}"}
    for path in finished.out.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    for result in finished.results.values():
        assert KEY not in result.out + result.err


def test_hostile_text_stays_data(finished: Run) -> None:
    """Markup is kept as text, escape codes in a language field reach neither rows nor terminal."""
    documents = rows_of(finished.out / "documents")
    assert corpus.SCRIPT in {row["title"] for row in documents}
    assert {row["language"] for row in documents} == {"en", "fr", "es"}
    printed = "".join(result.out + result.err for result in finished.results.values())
    assert "\x1b" not in printed
    assert "<script>" not in printed
    for path in (finished.out / "reports").iterdir():
        assert "\\u001b" not in path.read_text()
        assert "\x1b" not in path.read_text()
    page = (finished.out / "reports/curate.html").read_text()
    assert "<script" not in page


def test_the_report_counts_what_was_written(finished: Run) -> None:
    """Rows by source and language are those of the folders; histograms count every row."""
    report = json.loads((finished.out / "reports/curate.json").read_text())
    rows = {name: rows_of(finished.out / name) for name in ("documents", "pairs")}
    rejects = Counter(row["reason"] for row in rows_of(finished.out / "rejects/curate"))
    assert report["totals"]["documents"] == len(rows["documents"])
    assert report["totals"]["pairs"] == len(rows["pairs"])
    assert {row["reason"]: row["rejects"] for row in report["reasons"]} == rejects
    counted = {(h["kind"], h["measure"], h["relation"]): h["rows"] for h in report["histograms"]}
    assert counted["documents", "language_score", ""] == len(rows["documents"])
    assert counted["pairs", "positive_tokens", ""] == len(rows["pairs"])
    spoken = {row["language"]: row["documents"] for row in report["languages"]}
    assert {language: n for language, n in spoken.items() if n} == {"en": 25, "fr": 22, "es": 20}
    shown = {row["id"] for group in report["samples"]["pairs"] for row in group["rows"]}
    assert shown <= {row["id"] for row in rows["pairs"]}
    card = (finished.out / "README.md").read_text()
    assert '- config_name: "pairs"' in card
    assert '- config_name: "questions"' in card
    assert "36 answers of scripted" in card


def test_the_report_counts_what_was_asked(finished: Run) -> None:
    """Kept and rejected are the rows of the folders; every answer with a text has a rank."""
    report = json.loads((finished.out / "reports/synth.json").read_text())
    rows = rows_of(finished.out / "questions")
    kept = [row for row in rows if row["relation"] == "question-document"]
    rejects = Counter(row["reason"] for row in rows_of(finished.out / "rejects/synth"))
    assert report["totals"]["kept"] == len(kept)
    assert {row["reason"]: row["rejects"] for row in report["reasons"]} == rejects
    assert report["totals"]["input_tokens"] == 10 * (36 + 2)  # two were cut short and asked again
    ranks = {row["id"]: row["round_trip_rank"] for row in rows_of(finished.out / "question-ranks")}
    assert report["round_trip"]["before"]["questions"] == len(ranks)
    for row in rows:
        assert row["round_trip_rank"] == ranks[f"{row['document_id']}#{row['request_key']}"]
        assert row["paragraph_end"] - row["paragraph_start"] == len(row["paragraph"])
        assert (row["requested_model"], row["style"]) == ("scripted", "question")
        assert row["language_verdict"] in ("ok", "unsure")
