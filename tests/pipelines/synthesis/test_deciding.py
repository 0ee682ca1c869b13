"""Decisions over the whole set: what is said twice, what is not found again, what is judged low."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.caps import hash64
from curation.records import SAMPLE, Sample, to_table
from curation.storage import write_parquet
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.responses import Response
from curation.synthesis.round_trip import RoundTripConfig
from mining.encode import encode_dense
from pipelines import synth
from pipelines.config import load as load_config
from pipelines.relevance import Encoder
from pipelines.synthesis import deciding, ranking, writing
from pipelines.synthesis.outcomes import CHECKED, Checked, Decided, Outcome, to_columns
from tests.builders import articles
from tests.command_line import leftovers, run, run_until
from tests.llm_server import Reply, ScriptedServer
from tests.pipelines.synthesis.builders import (
    ask,
    documents,
    job_for,
    longer,
    rows_of,
    write_config,
    write_documents,
)
from train.checkpoint import load as load_model


def sample(key: str, document: str = "", paragraph: str = "p") -> Sample:
    return Sample(
        key * 32, document or f"d:{key}", "u", "en", "web", paragraph, 0, 0, 0.0, "t", "Who", "?",
        ["\n"], "v",
    )  # fmt: skip


def write_checked(job: synth.SynthJob, part: str, rows: list[tuple[Sample, Checked]]) -> None:
    write_parquet(job.samples_path(part), to_table([s for s, _ in rows], SAMPLE))
    write_parquet(job.workspace.path("checked", part), to_columns([c for _, c in rows], CHECKED))


@pytest.mark.parametrize("parts", [("a", "a", "b", "b", "b"), ("b", "c", "a", "b", "a")])
def test_of_repeated_questions_the_smallest_key_is_kept(
    tmp_path: Path, parts: tuple[str, ...]
) -> None:
    """Whatever part they lie in; a question that a check rejects stands for none."""
    said = {
        "1": ("Who built it on the hill?", "too_short"),
        "2": ("Who built it on  the Hill?", ""),
        "3": ("who built it on the hill?", ""),
        "4": ("Who sank it?", ""),
        "5": ("Who built it on the hill?", ""),
    }
    job = job_for(tmp_path, {name: [] for name in sorted(set(parts))})
    rows: dict[str, list[tuple[Sample, Checked]]] = {}
    for part, (key, (question, reason)) in zip(parts, said.items(), strict=True):
        rows.setdefault(part, []).append((sample(key), Checked(reason, "", question)))
    for part, found in rows.items():
        write_checked(job, part, found)
    assert deciding.repeats(job) == {hash64(sample(key).id): "2" * 32 for key in "35"}


def test_one_answer_makes_one_question(tmp_path: Path) -> None:
    """Two documents with the same paragraph share request and answer: one of them is kept."""
    job = job_for(tmp_path, {"a": []})
    both = [(sample("1", name), Checked("", "", "Who built it?")) for name in ("d:x", "d:y")]
    write_checked(job, "a", both)
    [(lost, kept)] = deciding.repeats(job).items()
    assert lost in {hash64(sample("1", name).id) for name in ("d:x", "d:y")}
    assert kept == "1" * 32


def test_a_question_carries_its_provenance() -> None:
    """The passage pair is left out where the paragraph is the whole text."""
    [row] = documents("en", 1)
    about = sample("1", paragraph=row.text[:100])
    answer = Response("1" * 32, " built it", "stop", "served", 7, 3, created_at=99)
    outcome = Outcome(
        about,
        answer,
        Checked("", "", "Who built it?", "It.", "It did", "ok", 0.25),
        Decided("", "", 3, 0.5, 4),
    )
    asked = SynthesisConfig(model="asked", style="claim", difficulty="hard")
    both = writing.make_questions(outcome, row, asked)
    assert [(q.relation, q.positive) for q in both] == [
        ("question-document", row.text),
        ("question-passage", row.text[:100]),
    ]
    for question in both:
        assert (question.requested_model, question.model) == ("asked", "served")
        assert (question.paragraph_start, question.paragraph_end) == (0, 100)
        assert (question.round_trip_rank, question.round_trip_score) == (3, 0.5)
        assert (question.judge_score, question.created_at) == (4, 99)
        assert (question.answer, question.evidence) == ("It.", "It did")
        assert (question.style, question.difficulty) == ("claim", "hard")
        assert (question.language_verdict, question.copied_share) == ("ok", 0.25)
    about.paragraph = row.text
    [only] = writing.make_questions(outcome, row, asked)
    assert only.relation == "question-document"


@pytest.fixture(scope="module")
def encoder(tiny_encoder: str) -> Encoder:
    lengths = ["model.max_query_tokens=64", "model.max_passage_tokens=64"]
    model = load_model(tiny_encoder, load_config(None, ["model.pooling=mean", *lengths]).model)
    return Encoder(model, "fp32", 256, lambda *_: None)


def asked_about(tmp_path: Path, scope: str) -> tuple[synth.SynthJob, list[dict[str, Any]]]:
    """Write questions on two paragraphs a document in two languages, and further passages."""
    config = SynthesisConfig(round_trip=RoundTripConfig(scope=scope))
    job = job_for(tmp_path, {"a": [], "b": []}, config=config)
    rows: list[dict[str, Any]] = []
    for language, part in (("en", "a"), ("fr", "b")):
        listed, pairs = articles(language, 16), []
        for i, article in enumerate(listed[:10]):
            text = listed[0]["text"] if i == 9 else article["text"]  # one paragraph twice
            made = sample("0123456789"[i], f"{language}:{i // 2}", text)
            made.language = language
            question = " ".join(article["text"].split()[: 4 + i])
            pairs.append((made, Checked("", "", question if i != 8 else "")))
            rows.append({"sample": made, "question": pairs[-1][1].question})
        write_checked(job, part, pairs)
        further = [
            {"document_id": f"x:{i}", "language": language, "paragraph": article["text"]}
            for i, article in enumerate(listed[10:])
        ]
        table = pa.Table.from_pylist(further)
        write_parquet(job.workspace.path("passages", part), table)
        rows += [{"passage": row} for row in further]
    return job, rows


@pytest.mark.parametrize("scope", ["language", "all"])
def test_ranks_are_those_of_a_plain_loop(tmp_path: Path, encoder: Encoder, scope: str) -> None:
    """Among distinct paragraphs of the language, or all, that are of another document."""
    job, rows = asked_about(tmp_path, scope)
    tables = [
        ranking.rank_group(ranking.read_group(job, name), encoder)
        for name in ranking.group_names(job)
    ]
    found = {row["id"]: row for table in tables for row in table.to_pylist()}

    def vectors(texts: list[str], *, is_query: bool) -> Any:
        dense = encode_dense(encoder.model, texts, is_query=is_query, budget=256, dtype="fp32")
        return dense.astype(np.float16).astype(np.float32)

    passages: dict[str, tuple[str, str]] = {}
    for row in rows:
        about = row.get("sample")
        if about:
            passages.setdefault(about.paragraph, (about.language, about.document_id))
    for row in rows:
        if "passage" in row:
            passage = row["passage"]
            passages.setdefault(passage["paragraph"], (passage["language"], passage["document_id"]))
    texts = list(passages)
    pool = vectors(texts, is_query=False)
    expected = {}
    for row in rows:
        about = row.get("sample")
        if about and row["question"]:
            scores = pool @ vectors([row["question"]], is_query=True)[0]
            own = scores[texts.index(about.paragraph)]
            expected[about.id] = 1 + sum(
                score > own + 1e-6
                for text, score in zip(texts, scores, strict=True)
                if text != about.paragraph
                and passages[text][1] != about.document_id
                and (scope == "all" or passages[text][0] == about.language)
            )
    assert {identity: row["round_trip_rank"] for identity, row in found.items()} == expected
    assert len(expected) == 18
    assert len(set(expected.values())) > 3
    assert {row["pool"] for row in found.values()} == ({30} if scope == "all" else {15})


GOOD = " did the company build the tower that the keeper of {} climbs"


def answer(body: dict[str, Any]) -> Reply:
    """Ask about the first name of the paragraph; grade by that name when asked to judge."""
    text = str(body.get("prompt") or body["messages"][0]["content"])
    name = next(a["title"] for a in articles("en", 40) if f" {a['title']} " in text)
    if "messages" not in body:
        return Reply(GOOD.format("nobody" if name in ("Arhaven", "Arwick") else name))
    grades = {"Armouth": "2", "Arness": "a good 5", "Arstead": '{"score": 5}'}
    return Reply(grades.get(name, "4"))


@pytest.fixture
def config(tmp_path: Path, tiny_encoder: str) -> Any:
    """A run over 20 documents of two parts, and the server it asks."""
    rows = longer(documents("en", 20), 2)
    write_documents(tmp_path / "out", [rows[:9], rows[9:]])
    with ScriptedServer(answer) as server:
        yield write_config(tmp_path, tiny_encoder, server.url), server


def test_the_judge_fails_closed_and_is_paid_once(config: Any, tmp_path: Path) -> None:
    """Low grades and answers that are none are rejects; another bound asks nothing again."""
    path, server = config
    out = tmp_path / "out"
    options = ("judge.enabled=true", "judge.model=judge")
    result = ask(path, *options)
    assert result.code == 0, result.err
    reasons = Counter(row["reason"] for row in rows_of(out / "rejects/synth"))
    assert reasons["judged_low"] == reasons["unjudged"] == 1
    judged = [body for body in server.requests if "messages" in body]
    assert {body["model"] for body in judged} == {"judge"}
    assert len(judged) == 20 - reasons["duplicate"]
    assert all(row["judge_score"] in (4, 5) for row in rows_of(out / "questions"))
    before = len(server.requests)
    strict = ask(path, *options, "judge.min_score=5")
    assert len(server.requests) == before
    assert "rank-questions: up to date" in strict.out
    kept = rows_of(out / "questions")
    assert {row["judge_score"] for row in kept} == {5}
    report = json.loads((out / "reports/synth.json").read_text())
    assert report["usage"]["judge"]["cached"] == len(judged)
    assert report["totals"]["input_tokens"] == 10 * before
    assert leftovers(out) == []


def test_a_judge_that_does_not_answer_is_asked_again(config: Any, tmp_path: Path) -> None:
    """Its questions are rejects until it does, and the run is not up to date."""
    path, server = config
    options = ("judge.enabled=true",)

    lost = ("Belmouth", "Belhaven", "Belness")

    def silent(body: dict[str, Any]) -> Reply:
        is_lost = "messages" in body and any(f" {name} " in str(body) for name in lost)
        return Reply(status=500, raw=b"{}") if is_lost else answer(body)

    server.script = silent
    first = ask(path, *options)
    assert first.code == 0, first.err
    assert "unjudged 4" in first.out
    server.script = answer
    asked = len(server.requests)
    second = ask(path, *options)
    assert "unjudged 1" in second.out
    assert len(server.requests) - asked == len(lost)
    third = ask(path, *options)
    assert third.out.startswith("synth: up to date")


def test_a_strict_round_trip_rejects_by_rank(config: Any, tmp_path: Path) -> None:
    """Another `top_k` encodes nothing again; ranks are columns and values of rejects."""
    path, server = config
    out = tmp_path / "out"
    lenient = ask(path)
    assert "round trip" in lenient.err
    ranks = {row["id"]: row["round_trip_rank"] for row in rows_of(out / "question-ranks")}
    assert len(ranks) == 20
    assert max(ranks.values()) > 3
    asked = len(server.requests)
    strict = ask(path, "round_trip.top_k=3")
    assert (strict.code, len(server.requests)) == (0, asked)
    assert "round trip" not in strict.err
    lost = {
        r["id"]: r["value"] for r in rows_of(out / "rejects/synth") if r["reason"] != "duplicate"
    }
    assert lost == {i: f"rank {ranks[i]} > 3" for i in lost}
    kept = rows_of(out / "questions")
    assert all(row["round_trip_rank"] <= 3 for row in kept)
    for row in kept:
        assert row["round_trip_rank"] == ranks[f"{row['document_id']}#{row['request_key']}"]
    off = ask(path, "round_trip.enabled=false")
    assert off.code == 0
    assert {row["round_trip_rank"] for row in rows_of(out / "questions")} == {None}


def test_totals_are_those_of_the_rows(config: Any, tmp_path: Path) -> None:
    """Kept, rejected by reason and language, tokens: report and folders say the same."""
    path, server = config
    out = tmp_path / "out"
    result = ask(path, "questions_per_document=2", "documents=14", "round_trip.top_k=4")
    assert result.code == 0, result.err
    report = json.loads((out / "reports/synth.json").read_text())
    questions, rejects = rows_of(out / "questions"), rows_of(out / "rejects/synth")
    kept = [row for row in questions if row["relation"] == "question-document"]
    assert report["totals"]["kept"] == len(kept) > 0
    assert report["totals"]["rejects"] == len(rejects) > 0
    assert report["totals"]["asked"] == len(kept) + len(rejects) == 28
    assert report["totals"]["documents"] == 14
    reasons = Counter(row["reason"] for row in rejects)
    assert {row["reason"]: row["rejects"] for row in report["reasons"]} == reasons
    assert len(reasons) == 2
    [language] = report["languages"]
    assert sum(language["positions"]) == 28
    assert language["reasons"] == dict(reasons.most_common())
    ranks = [row["round_trip_rank"] for row in rows_of(out / "question-ranks")]
    before = report["round_trip"]["before"]
    assert before["questions"] == len(ranks)
    assert before["rank_1"] == round(sum(rank == 1 for rank in ranks) / len(ranks), 4)
    after = report["round_trip"]["after"]
    assert after["questions"] == len(kept)
    assert after["rank_5"] == 1.0
    assert report["totals"]["input_tokens"] == 10 * len(server.requests)
    shown = report["samples"]["en"]
    assert {row["id"] for row in shown["rejected"]} <= {row["id"] for row in rejects}
    assert len(shown["kept"]) == min(4, len(kept))
    assert len(shown["rejected"]) == min(4, len(rejects))


def test_a_hostile_answer_stays_text(config: Any, tmp_path: Path) -> None:
    """Markup of a model is escaped in the page, which runs no script and loads nothing."""
    path, server = config

    def hostile(body: dict[str, Any]) -> Reply:
        name = answer(body).text.split()[-2]
        return Reply(f" <script>alert(1)</script> built the tower that {name} climbs each day")

    server.script = hostile
    result = ask(path, "round_trip.enabled=false")
    assert result.code == 0, result.err
    page = (tmp_path / "out/reports/synth.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page
    assert "Question 1: {opener}" in page


def test_an_encoder_that_does_not_fit_is_told_before_paying(config: Any) -> None:
    """Lengths beyond its positions end the run without a request."""
    path, server = config
    result = run("synth", "--config", path, "--set", "model.max_passage_tokens=9999")
    assert (result.code, server.requests) == (2, [])
    assert "beyond the encoder's 512 positions" in result.err


def test_answers_that_come_after_a_kill_are_checked(config: Any, tmp_path: Path) -> None:
    """A run that lacked some and was killed behind the checks leaves no verdict on them."""
    path, server = config

    def silent(body: dict[str, Any]) -> Reply:
        return Reply(status=500, raw=b"{}") if " Bel" in str(body) else answer(body)

    server.script = silent
    options = ("--set", "synthesis.round_trip.enabled=false")
    file = "questions/length=0-500/part-00000.parquet"
    assert run_until(file, "synth", "--config", path, *options) == -9
    server.script = answer
    result = run("synth", "--config", path, *options)
    assert result.code == 0, result.err
    assert "no_answer" not in result.out
    kept = [r for r in rows_of(tmp_path / "out/questions") if r["relation"] == "question-document"]
    rejects = rows_of(tmp_path / "out/rejects/synth")
    assert len(kept) + len(rejects) == 20
    assert any(" Bel" in row["paragraph"] for row in kept)
    assert leftovers(tmp_path / "out") == []
