"""Which documents are asked about, and with what prompt."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from curation.records import Document, Reject
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.round_trip import RoundTripConfig
from pipelines import synth
from pipelines.synthesis import estimate, sampling
from tests.pipelines.synthesis.builders import CONFIG, documents, job_for, longer


def draw(job: synth.SynthJob, order: random.Random) -> set[tuple[str, bool]]:
    """Return the ids drawn, and whether they are asked about, for some order of the parts."""
    met: dict[str, list[Any]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    names = list(job.parts)
    order.shuffle(names)
    for name in names:
        for language, candidates in sampling.part_candidates(name, job):
            met.setdefault(language, []).append(candidates)
            counts.update({(language, s): n for s, n in candidates.counts.items()})
    drawn = (d for item in met.items() for d in sampling.draw_documents(item, job, counts))
    return {found for _, found in drawn}


@settings(deadline=None, max_examples=8)
@given(
    cut=st.integers(1, 59),
    order=st.randoms(use_true_random=False),
    quotas=st.sampled_from(({}, {"en": 4}, {"*/web": 2}, {"en/news": 1, "fr": 2})),
    each=st.sampled_from((0, 3)),
)
def test_the_draw_does_not_depend_on_the_parts(
    tmp_path_factory: pytest.TempPathFactory,
    cut: int,
    order: random.Random,
    quotas: dict[str, int],
    each: int,
) -> None:
    """However documents lie in parts, the same are drawn, and the same compete with them."""
    config = dataclasses.replace(
        CONFIG,
        documents=11,
        documents_per_language=each,
        quotas=quotas,
        round_trip=RoundTripConfig(pool=5),
    )
    rows = [*documents("en", 20), *documents("en", 40, "news")[20:], *documents("fr", 20)]
    whole = job_for(tmp_path_factory.mktemp("whole"), {"a.parquet": rows}, config=config)
    expected = draw(whole, random.Random(0))
    order.shuffle(rows)
    split = {"a.parquet": rows[:cut], "b.parquet": rows[cut:]}
    found = draw(job_for(tmp_path_factory.mktemp("split"), split, config=config), order)
    assert found == expected
    asked = Counter(identity[:2] for identity, is_asked in expected if is_asked)
    if each and not quotas:
        assert asked == {"en": 3, "fr": 3}
    if not each:
        assert asked.total() == 11
    assert len({identity for identity, _ in expected}) == len(expected)


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({}, {"en": 17, "fr": 3}),
        ({"en": 12}, {"en": 12, "fr": 8}),
        ({"en/news": 2}, {"en": 12, "en/news": 2, "fr": 8}),
        ({"*/web": 4}, {"en/web": 4, "fr/web": 4, "en/news": 10}),
        ({"fr": 0}, {"en": 20, "fr": 0}),
    ],
    ids=["none", "language", "language-source", "every-source", "zero"],
)
def test_quotas_hold_over_sources(
    tmp_path: Path, quotas: dict[str, int], expected: dict[str, int]
) -> None:
    """Of 20 documents: no quota is passed, and what one leaves goes to the others."""
    config = dataclasses.replace(CONFIG, documents=20, documents_per_language=0, quotas=quotas)
    rows = [*documents("en", 10), *documents("en", 20, "news")[10:], *documents("fr", 10)]
    job = job_for(tmp_path, {"a.parquet": rows}, config=config)
    source = {row.id: row.source for row in rows}
    found: Counter[str] = Counter()
    for identity, is_asked in draw(job, random.Random(0)):
        if is_asked:
            found.update([identity[:2], f"{identity[:2]}/{source[identity]}"])
    assert {name: found[name] for name in expected} == expected
    assert found["en"] + found["fr"] == (18 if "*/web" in quotas else 20)


def test_a_quota_on_nothing_ends_the_draw(tmp_path: Path) -> None:
    """Before anything is asked."""
    config = dataclasses.replace(CONFIG, quotas={"xx": 3})
    job = job_for(tmp_path, {"a.parquet": documents("en", 3)}, config=config)
    with pytest.raises(ConfigError, match=r"synthesis\.quotas names 'xx'.*there are en/web"):
        draw(job, random.Random(0))


def test_only_eligible_documents_are_candidates(tmp_path: Path) -> None:
    """Language and length decide; no more candidates leave a part than can be drawn."""
    rows = [*documents("en", 9), *documents("fr", 9), *documents("es", 2)]
    rows[0].quality["characters"] = 99
    rows[1].quality["characters"] = 1001
    config = SynthesisConfig(
        languages=("en", "es"), documents=5, min_document_characters=100,
        max_document_characters=1000,
    )  # fmt: skip
    job = job_for(tmp_path, {"a.parquet": rows}, config=config)
    found = dict(sampling.part_candidates("a.parquet", job))
    assert {language: len(own.asked) for language, own in found.items()} == {"en": 5, "es": 2}
    assert {language: own.counts["web"] for language, own in found.items()} == {"en": 7, "es": 2}
    assert not {"en:0", "en:1"} & {identity for _, _, (_, identity) in found["en"].asked}
    assert len(found["en"].rivals) == 9


def test_a_band_in_tokens_counts_with_the_tokenizer(tmp_path: Path, tiny_encoder: str) -> None:
    """Documents of two paragraphs are too short, those of nine too long."""
    rows = [*longer(documents("en", 5), 2), *longer(documents("fr", 5), 5)]
    rows += longer(documents("es", 5), 9)
    lengths = {row.language: len(row.text.split()) for row in rows}
    config = dataclasses.replace(
        CONFIG,
        max_document_characters=100_000,
        min_document_tokens=2 * lengths["en"],
        max_document_tokens=2 * lengths["es"],
    )
    job = job_for(tmp_path, {"a.parquet": rows}, config=config, tokenizer=tiny_encoder)
    found = {k: own.counts.total() for k, own in sampling.part_candidates("a.parquet", job)}
    tokens = estimate.TokenCounter(tiny_encoder).lengths([row.text for row in rows])
    fits = [config.min_document_tokens <= n <= config.max_document_tokens for n in tokens]
    expected = Counter(row.language for row, good in zip(rows, fits, strict=True) if good)
    assert {k: n for k, n in found.items() if n} == expected
    assert 0 < expected.total() < len(rows)


def test_samples_carry_all_that_a_request_needs(tmp_path: Path) -> None:
    """The paragraph lies in its document, the prompt ends in the opener, the file is sorted."""
    rows = longer(documents("fr", 10), 4)
    config = dataclasses.replace(CONFIG, questions_per_document=3)
    job = job_for(tmp_path, {"a.parquet": rows}, config=config)
    chosen = [(row.id, i < 7) for i, row in enumerate(rows[:9])]
    assert sampling.write_samples(("a.parquet", chosen), job) == "a.parquet"
    samples = synth.read_samples(job.samples_path("a.parquet"))
    texts = {row.id: row.text for row in rows}
    assert Counter(sample.document_id for sample in samples) == {row.id: 3 for row in rows[:7]}
    assert [s.key for s in samples] == sorted({s.key for s in samples})
    for sample in samples:
        text = texts[sample.document_id]
        assert text[sample.paragraph_start :].startswith(sample.paragraph)
        assert text.split("\n")[sample.paragraph_index] == sample.paragraph
        assert sample.document_url == f"https://fr.example/{sample.document_id[3:]}"
        assert sample.prompt == f"Texte: {sample.paragraph}\n\nQuestion 1: {sample.opener}"
        assert (sample.stop, sample.prompt_version) == (["\n", "?"], "base-fr-1")
    passages = synth.read_table(job.workspace.path("passages", "a.parquet")).to_pylist()
    assert [row["document_id"] for row in passages] == ["fr:7", "fr:8"]
    assert all(row["paragraph"] in texts[row["document_id"]] for row in passages)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"text": "Short."}, "no_paragraph"), ({"language": "xx"}, "no_prompt_in_language")],
    ids=["paragraph", "prompt"],
)
def test_a_document_without_a_prompt_is_a_reject(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    """It is kept to be written with the other rejects."""
    [row] = documents("en", 1)
    for name, value in change.items():
        setattr(row, name, value)
    job = job_for(tmp_path, {"a.parquet": [row]})
    reject = Reject("en:0", "synth", reason, "web", row.language)
    assert sampling.make_samples(row, job) == [reject]
    sampling.write_samples(("a.parquet", [("en:0", True)]), job)
    assert synth.read_undrawn(job, "a.parquet") == [reject]
    assert synth.read_samples(job.samples_path("a.parquet")) == []


def test_the_estimate_draws_what_the_job_draws(tmp_path: Path, tiny_encoder: str) -> None:
    """The same keys, from the parts alone; nothing is written."""
    rows: list[Document] = [*documents("en", 9), *documents("fr", 9)]
    parts = {"a.parquet": rows[::2], "b.parquet": rows[1::2]}
    job = job_for(tmp_path, parts, tokenizer=tiny_encoder)
    before = sorted(tmp_path.rglob("*"))
    found = estimate.estimate(job)
    assert sorted(tmp_path.rglob("*")) == before
    assert found.requests == {"en": 3, "fr": 3}
    listed = list(estimate.samples(job))
    lengths = estimate.TokenCounter(tiny_encoder).lengths([s.prompt for s in listed])
    assert sum(lengths) == found.input_tokens.total()
    assert len(found.prompts) == 3
    drawn = {identity for identity, is_asked in draw(job, random.Random(0)) if is_asked}
    assert {s.document_id for s in listed} == drawn
