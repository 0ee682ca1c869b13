"""Which documents are asked about, with what prompt, and which answers are kept."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import storage
from curation.errors import ConfigError
from curation.records import DOCUMENT, SAMPLE, Document, Reject, Sample, Section, to_table
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.responses import Response
from pipelines import synth
from pipelines.commands.synth import check_endpoint, has_unanswered
from pipelines.stage import Stage
from pipelines.work import Workspace
from tests.builders import articles

CONFIG = SynthesisConfig(
    base_url="http://x",
    model="m",
    prompt="base",
    documents_per_language=3,
    min_document_characters=100,
    max_document_characters=1000,
    min_paragraph_characters=50,
)


def documents(language: str, count: int) -> list[Document]:
    return [
        Document(
            id=f"{language}:{i}",
            source="web",
            title=article["title"],
            text=article["text"],
            language=language,
            script="Latin",
            sections=[Section("", 0, 0, len(article["text"]))],
            quality={"characters": len(article["text"])},
            text_hash=bytes(16),
        )
        for i, article in enumerate(articles(language, count))
    ]


def job_for(folder: Path, parts: dict[str, list[Document]], **changes: Any) -> synth.SynthJob:
    """Write document parts and return the job over them."""
    for name, rows in parts.items():
        table = to_table(rows, DOCUMENT)
        storage.write_parquet(str(folder / "documents" / name), table, row_group_rows=4)
    options: dict[str, Any] = {"config": CONFIG} | changes
    return synth.SynthJob(
        tokenizer="",
        workspace=Workspace(str(folder / "work")),
        out=str(folder),
        parts=tuple(parts),
        descriptions={},
        **options,
    )


def draw(job: synth.SynthJob, order: random.Random) -> set[str]:
    """Return the ids drawn when the parts are read in some order."""
    met: dict[str, list[Any]] = {}
    names = list(job.parts)
    order.shuffle(names)
    for name in names:
        for language, candidates in synth.part_candidates(name, job):
            met.setdefault(language, []).append(candidates)
    count = job.config.documents_per_language
    return {i for item in met.items() for _, i in synth.draw_documents(item, count)}


@settings(deadline=None, max_examples=15)
@given(cut=st.integers(1, 39), order=st.randoms(use_true_random=False))
def test_the_draw_does_not_depend_on_the_parts(
    tmp_path_factory: pytest.TempPathFactory, cut: int, order: random.Random
) -> None:
    """However documents lie in parts, the same three per language are drawn."""
    rows = [*documents("en", 20), *documents("fr", 20)]
    whole = job_for(tmp_path_factory.mktemp("whole"), {"a.parquet": rows})
    expected = draw(whole, random.Random(0))
    order.shuffle(rows)
    split = {"a.parquet": rows[:cut], "b.parquet": rows[cut:]}
    assert draw(job_for(tmp_path_factory.mktemp("split"), split), order) == expected
    assert sorted(i.partition(":")[0] for i in expected) == ["en"] * 3 + ["fr"] * 3


def test_only_eligible_documents_are_candidates(tmp_path: Path) -> None:
    """Language and length decide; no more candidates leave a part than can be drawn."""
    rows = [*documents("en", 9), *documents("fr", 9), *documents("es", 2)]
    rows[0].quality["characters"] = 99
    rows[1].quality["characters"] = 1001
    config = SynthesisConfig(
        languages=("en", "es"), documents_per_language=5, min_document_characters=100,
        max_document_characters=1000,
    )  # fmt: skip
    job = job_for(tmp_path, {"a.parquet": rows}, config=config)
    found = dict(synth.part_candidates("a.parquet", job))
    assert {language: len(listed) for language, listed in found.items()} == {"en": 5, "es": 2}
    assert not {"en:0", "en:1"} & {identity for _, identity, _ in found["en"]}
    assert found["en"] == sorted(found["en"])


def test_samples_carry_all_that_a_request_needs(tmp_path: Path) -> None:
    """The paragraph lies in its document, the prompt ends in the opener, the file is sorted."""
    rows = documents("fr", 10)
    job = job_for(tmp_path, {"a.parquet": rows})
    wanted = [row.id for row in rows[2:9]]
    assert synth.write_samples(("a.parquet", wanted), job) == "a.parquet"
    samples = synth.read_samples(job.samples_path("a.parquet"))
    texts = {row.id: row.text for row in rows}
    assert sorted(sample.document_id for sample in samples) == sorted(wanted)
    assert [s.key for s in samples] == sorted({s.key for s in samples})
    for sample in samples:
        text = texts[sample.document_id]
        assert text[sample.paragraph_start :].startswith(sample.paragraph)
        assert sample.prompt == f"Texte: {sample.paragraph}\n\nQuestion 1: {sample.opener}"
        assert (sample.stop, sample.prompt_version) == (["\n", "?"], "base-fr-1")
    [status] = job.workspace.statuses("samples")
    assert status["counts"] == {"samples|web|fr": 7}


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"text": "Short."}, "no_paragraph"), ({"language": "xx"}, "no_prompt_in_language")],
    ids=["paragraph", "prompt"],
)
def test_a_document_without_a_prompt_is_a_reject(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    """The reason is a row's and a count's."""
    [row] = documents("en", 1)
    for name, value in change.items():
        setattr(row, name, value)
    job = job_for(tmp_path, {"a.parquet": [row]})
    assert synth.make_sample(row, job) == Reject("en:0", "synth", reason, "web", row.language)
    synth.write_samples(("a.parquet", ["en:0"]), job)
    [status] = job.workspace.statuses("samples")
    assert status["counts"] == {f"rejects|{reason}|web|{row.language}": 1}
    assert synth.read_samples(job.samples_path("a.parquet")) == []


def _sample(key: str, opener: str = "Who") -> Sample:
    return Sample(key, f"d:{key}", "en", "web", "p", 0, 0.0, "t", opener, "?", ["\n"], "v")


def test_of_equal_questions_the_smallest_key_is_kept(tmp_path: Path) -> None:
    """Repeats are marked over all parts; case and space do not tell questions apart."""
    job = job_for(tmp_path, {"a.parquet": [], "b.parquet": [], "c.parquet": []})
    listed = {"a.parquet": ["3", "5"], "b.parquet": ["1", "4"]}
    for part, keys in listed.items():
        table = to_table([_sample(key) for key in keys], SAMPLE)
        storage.write_parquet(job.samples_path(part), table)
    said = {"1": " built  it", "3": " Built it", "4": " sank"}
    known = {key: Response(key, text, "stop", "m", 1, 1) for key, text in said.items()}
    synth.write_answers(job, known)
    found = {part: synth.load_answers(job, part) for part in job.parts}
    assert {key: repeat for part in found.values() for key, (_, repeat) in part.items()} == {
        "1": False,
        "3": True,
        "4": False,
    }
    assert found["b.parquet"]["4"][0] == known["4"]
    assert found["c.parquet"] == {}


def test_a_question_is_paired_with_document_and_passage() -> None:
    """The passage pair is left out where the paragraph is the whole text."""
    [row] = documents("en", 1)
    sample = _sample("1")
    sample.paragraph = row.text[:100]
    answer = Response("1", " built it", "stop", "model-x", 7, 3)
    both = synth.make_questions(sample, answer, "Who built it?", row)
    assert [(q.relation, q.positive) for q in both] == [
        ("question-document", row.text),
        ("question-passage", row.text[:100]),
    ]
    assert {(q.model, q.request_key, q.input_tokens, q.output_tokens) for q in both} == {
        ("model-x", "1", 7, 3)
    }
    sample.paragraph = row.text
    [only] = synth.make_questions(sample, answer, "Who built it?", row)
    assert only.relation == "question-document"


def test_a_run_without_a_model_is_refused() -> None:
    """An endpoint needs a model's name."""
    with pytest.raises(ConfigError, match=r"synthesis needs a model: set synthesis\.base_url"):
        check_endpoint(SynthesisConfig(base_url="http://x"))
    check_endpoint(SynthesisConfig(local_server="gemma-3-270m"))


@pytest.mark.parametrize(
    ("fingerprint", "counts", "expected"),
    [
        ("own", {"rejects|no_answer|web|en": 1}, True),
        ("own", {"rejects|copied|web|en": 1}, False),
        ("other", {"rejects|no_answer|web|en": 1}, False),
        (None, {}, False),
    ],
    ids=["missing", "all", "other-run", "no-report"],
)
def test_a_run_that_lacks_answers_is_told(
    tmp_path: Path, fingerprint: str | None, counts: dict[str, int], expected: bool
) -> None:
    """Only the report of the same fingerprint counts."""
    stage = Stage(name="synth", out=str(tmp_path), outputs=(), config={}, inputs=[])
    if fingerprint:
        own = stage.fingerprint if fingerprint == "own" else fingerprint
        report = {"fingerprint": own, "counts": counts}
        storage.write_json(str(tmp_path / "reports/synth.json"), report)
    assert has_unanswered(stage) == expected
