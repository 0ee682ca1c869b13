"""Instruction data of every layout to pairs."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.config import CurationConfig, SourceConfig
from curation.extract import Cleaner
from curation.records import Pair, Reject
from curation.sources import instructions
from curation.sources.raw import RawPair
from curation.splitting import Split, SplitReader

PROMPT = "Explain why rivers bend."
OUTPUT = "Water erodes the outer bank and settles on the inner one.\n\nSo a bend grows."


def read(*rows: Any, declared: str | None = "en") -> list[RawPair | Reject]:
    data = b"\n".join(r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows)
    return list(instructions.read_pairs(io.BytesIO(data), "xp3", declared))


WIND = "Rivers bend because of the wind."
LAYOUTS = {
    "xp3": {"inputs": PROMPT, "targets": OUTPUT},
    "p3": {"prompt": PROMPT, "completion": f"{OUTPUT}<|endoftext|>"},
    "alpaca": {"instruction": PROMPT, "input": "", "output": OUTPUT},
    "seed tasks": {"instruction": PROMPT, "instances": [{"input": "", "output": OUTPUT}]},
    "dolly": {"instruction": PROMPT, "context": "", "response": OUTPUT},
}


@pytest.mark.parametrize("row", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_pair(row: dict[str, Any]) -> None:
    """Instruction and output, end marks cut."""
    (pair,) = read(row)
    assert isinstance(pair, RawPair)
    assert (pair.query, pair.positive) == (PROMPT, OUTPUT)
    assert (pair.relation, pair.query_language, pair.language) == ("instruction-output", "en", "en")


def test_an_input_follows_its_instruction() -> None:
    """And each instance is a pair."""
    row = {
        "instruction": "Continue the poem.",
        "instances": [{"input": i, "output": OUTPUT} for i in "ab"],
    }
    assert [p.query for p in read(row) if isinstance(p, RawPair)] == [
        "Continue the poem.\na",
        "Continue the poem.\nb",
    ]


@pytest.mark.parametrize("field", ["language", "lang"])
def test_the_row_states_its_language(field: str) -> None:
    """It wins over the source's."""
    (pair,) = read(LAYOUTS["xp3"] | {field: "fr"})
    assert pair.language == "fr"


REASONS = {
    "label": (PROMPT, "yes", "output_too_short"),
    "letter": (PROMPT, "A", "output_too_short"),
    "class": (PROMPT, "Science and technology", "output_too_short"),
    "chinese label": ("请问这条河在哪里流入大海？", "正面", "output_too_short"),
    "chinese answer": ("请问这条河在哪里流入大海？", "它在北方的港口旁边流入大海。", ""),
    "copy": (f"Is it true that {OUTPUT}?", OUTPUT.upper(), "output_in_prompt"),
    "option": (f"Choose:\n- {PROMPT}\n- {WIND}", WIND, "output_is_option"),
    "lettered option": (f"Choose:\nA. {PROMPT}\nB. {WIND}", WIND, "output_is_option"),
    "no prompt": ("?", OUTPUT, "prompt_too_short"),
    "long prompt": ("word " * 20_000, OUTPUT, "prompt_too_long"),
    "good": (PROMPT, OUTPUT, ""),
    "good with options": (f"{PROMPT}\n- by wind\n- by water", OUTPUT, ""),
}


@pytest.mark.parametrize(("prompt", "output", "reason"), REASONS.values(), ids=REASONS)
def test_reasons(prompt: str, output: str, reason: str) -> None:
    """Labels, copies and options are no passages."""
    assert instructions.reject_reason(prompt, output) == reason


BAD = {
    "malformed_json": [b"{", b'{"prompt": "\xff"}', b"\x00"],
    "not_an_object": [1, "text", None],
    "missing_prompt": [
        {},
        {"prompt": PROMPT},
        {"inputs": 1, "targets": OUTPUT},
        {"instances": [1]},
    ],
    "missing_output": [
        {"inputs": PROMPT, "targets": None},
        {"inputs": PROMPT, "targets": [OUTPUT]},
    ],
}


@pytest.mark.parametrize(("reason", "row"), [(r, row) for r, rows in BAD.items() for row in rows])
def test_a_bad_row_is_rejected_alone(reason: str, row: Any) -> None:
    """The pairs before and behind it are read."""
    good = LAYOUTS["xp3"]
    found = read(good, good, row, good)
    assert [getattr(record, "reason", "") for record in found] == ["", "", reason, ""]


@given(st.text(max_size=80), st.text(max_size=80))
@settings(deadline=None, max_examples=100)
def test_any_texts_are_judged(prompt: str, output: str) -> None:
    """No text raises."""
    assert isinstance(instructions.reject_reason(prompt, output), str)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("hub/xP3/fr/xp3_GEM_xlsum_fr_train.jsonl", "fr"),
        ("xP3mt/ceb/a.jsonl", "ceb"),
        ("t0/a.jsonl", None),
        ("raw/a.jsonl", None),
        ("a.jsonl", None),
    ],
)
def test_the_folder_states_the_language(path: str, expected: str | None) -> None:
    """Only in the collections that are laid out so."""
    assert instructions.language_in_path(path) == expected


def test_paragraphs_stay_and_languages_are_found() -> None:
    """A pair that declares no language is identified by its output."""
    cleaner = Cleaner(CurationConfig())
    source = SourceConfig(kind="xp3", path="x")
    (raw,) = read({"inputs": PROMPT, "targets": OUTPUT * 2}, declared=None)
    pair = cleaner.clean(raw, source)
    assert isinstance(pair, Pair)
    assert pair.positive == OUTPUT + OUTPUT
    assert (pair.query_language, pair.language) == ("en", "en")


def test_real_templates(real_data: Path) -> None:
    """The P3 archive: 55,185 rows in 283 files and 11 empty ones; most outputs are labels."""
    path = real_data / "instruct" / "T0-P3-data_per_template.tar.xz"
    source = SourceConfig(kind="xp3", path=str(path), members="t0/x*.jsonl")
    found = list(SplitReader(Split(0, str(path), path.stat().st_size), source))
    kept = [r for r in found if isinstance(r, RawPair)]
    reasons = Counter(r.reason for r in found if isinstance(r, Reject))
    assert len(kept) > 500
    assert set(reasons) <= {"output_too_short", "output_in_prompt", "output_is_option"}
    assert not any("<|endoftext|>" in pair.positive for pair in kept)
