"""Instruction data (xP3, P3/T0, Alpaca and the like) → instruction-output pairs.

A row holds `inputs`/`targets`, `prompt`/`completion`, or `instruction`/`input`/`output`, the last
two also in a list `instances`. Most of such data are classification tasks, whose outputs say
nothing without their inputs: an output that is a label or a copy out of its prompt is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

import xxhash

from curation.records import Reject
from curation.sources.raw import RawPair
from curation.sources.table import BadRow, json_objects
from curation.text import one_line

_FIELDS = (
    ("inputs", "targets"), ("prompt", "completion"), ("input", "target"),
    ("instruction", "output"), ("instruction", "response"), ("question", "answer"),
)  # fmt: skip
_END = re.compile(r"(?:<\|endoftext\|>|</s>|<eos>)\s*\Z")
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"\w+")
_WIDE = re.compile(r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_MIN_LETTERS = 20  # of an output; a letter of a script without spaces counts as three
_MIN_WORDS = 4  # shorter outputs are labels: "yes", "Science and technology"
_MIN_PROMPT_LETTERS = 10
_MAX_PROMPT = 60_000
_OPTIONS = re.compile(
    r"^\s*(?:[-*•]|\(?[A-Da-d1-4][).:])\s+\S.*\n\s*(?:[-*•]|\(?[A-Da-d1-4][).:])\s+\S", re.MULTILINE
)
_LANGUAGE_IN_FOLDER = re.compile(r"(?:^|/)(?:xp3[a-z]*/|xP3[a-z]*/)([a-z]{2,3})/[^/]+$")


def language_in_path(path: str) -> str | None:
    """Return the language of an xP3 file: the folder that its collection keeps it in."""
    match = _LANGUAGE_IN_FOLDER.search(path)
    return match[1] if match else None


def read_pairs(stream: IO[bytes], source: str, declared: str | None) -> Iterator[RawPair | Reject]:
    """Yield a pair per instruction and output; a field `language` or `lang` overrides `declared`.

    Reads JSON lines and JSON arrays.
    """
    for row in json_objects(stream):
        if isinstance(row, BadRow):
            yield row.reject(source, declared or "")
            continue
        for prompt, output in _turns(row):
            key = xxhash.xxh3_64_hexdigest(f"{prompt}\0{output}".encode("utf-8", "replace"))
            yield _pair(row, prompt, output, f"{source}:row-{key}", source, declared)


def _turns(row: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the (prompt, output) of a row, None where one is missing."""
    instances = row.get("instances")
    for instance in instances if isinstance(instances, list) and instances else [row]:
        fields = row | instance if isinstance(instance, dict) else row
        names = next((n for n in _FIELDS if n[0] in fields and n[1] in fields), None)
        if names is None:
            yield None, None
            continue
        prompt, output = fields[names[0]], fields[names[1]]
        if names[0] == "instruction" and isinstance(fields.get("input"), str):
            prompt = f"{prompt}\n{fields['input']}".strip()
        yield prompt, output


def _pair(
    row: dict[str, Any], prompt: Any, output: Any, where: str, source: str, declared: str | None
) -> RawPair | Reject:
    language = next((row[n] for n in ("language", "lang") if isinstance(row.get(n), str)), declared)
    if not isinstance(prompt, str) or not isinstance(output, str):
        missing = "missing_output" if isinstance(prompt, str) else "missing_prompt"
        fields = ", ".join(map(str, row))[:200]
        return Reject(where, "extract", missing, source, language or "", fields)
    output = _END.sub("", output).strip()
    reason = reject_reason(prompt, output)
    if reason:
        return Reject(where, "extract", reason, source, language or "", output[:200], prompt[:200])
    return RawPair(prompt, output, "instruction-output", language, language, id=where)


def reject_reason(prompt: str, output: str) -> str:
    """Return why a prompt and its output give no pair, "" if they do."""
    if _letters(prompt) < _MIN_PROMPT_LETTERS:
        return "prompt_too_short"
    if len(prompt) > _MAX_PROMPT:
        return "prompt_too_long"
    if _letters(output) < _MIN_LETTERS:
        return "output_too_short"
    flat = one_line(output).casefold()
    if flat.rstrip(".!?。") in one_line(prompt).casefold():
        return "output_is_option" if _OPTIONS.search(prompt) else "output_in_prompt"
    if len(_WORD.findall(output)) < _MIN_WORDS and not _WIDE.search(output):
        return "output_too_short"
    return ""


def _letters(text: str) -> int:
    """Count letters up to what any bound here needs."""
    sample = text[:400]
    return len(_LETTER.findall(sample)) + 2 * len(_WIDE.findall(sample))
