"""The dataset card: `OUT/README.md`, whose header tells the `datasets` library what to load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from curation import manifest, storage
from curation.tokens import BUCKET_EDGES, bucket_name
from pipelines.report import question_card
from pipelines.report.markdown import plain, table

FOLDERS = {
    "pairs": "pairs/*/*.parquet",
    "consistent-pairs": "consistent-pairs/*/*.parquet",
    "documents": "documents/*.parquet",
    "questions": "questions/*/*.parquet",
}
"""Folders that become configurations of the dataset, the default one first."""

_STEPS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")

_TEXT = """\
# {name}

Text pairs for training embedding models: each row of `pairs` is a query and a text that answers
it, in the languages of the header. Built with Threefold.

```python
from datasets import load_dataset

pairs = load_dataset("path/to/this/folder", "pairs", split="train")
```

## Contents

{folders}

{relations}

{sources}

`pairs` lie in folders by length, in tokens of the longer side under the configured tokenizer;
each is a configuration of its own, as `pairs-0-500`, and rows are sorted by length inside it.
`relation` says what a query is to its text, `query_language` and `language` the languages of both.

{questions}## How it was made

Configuration and inputs have the fingerprint `{fingerprint}`; they are written out in
`pairs/manifest.json` with rows, bytes and sha256 of every file. Versions: {versions}.
Documents were cleaned, their language identified, filtered and deduplicated; each rejected row is
kept in `rejects/` with its reason. `reports/curate.html` shows counts, lengths, scores and rows
to read.

## Licence

The texts belong to whoever wrote them and keep the terms of their sources, which this tool cannot
know: **replace `license: other` in the header by what the sources above allow** before you share
this folder.

## Known limits

- Languages are those that two identifiers, the script and the source agree on; short texts and
  close relatives are the weak spot (`language_score` and `language_agreement` of `documents`).
- A title, heading or translation is a weak label: it need not ask what its text answers.
- Personal data, opinions and errors of the sources are in the texts.
"""


def write(out: str) -> str:
    """Write the card of what is complete under `out`; return its text."""
    manifests = {
        name: manifest.read(storage.join(out, name), "")
        for name in FOLDERS
        if storage.exists(storage.join(out, name, manifest.SUCCESS))
    }
    report = storage.read_json(storage.join(out, "reports/curate.json"))
    text = card(manifests, report, _synthesis(out, manifests.get("questions")))
    storage.write_bytes(storage.join(out, "README.md"), text.encode())
    return text


def _synthesis(out: str, questions: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the report on the questions that lie there, None where it is of another run."""
    path = storage.join(out, "reports/synth.json")
    if questions is None or not storage.exists(path):
        return None
    report: dict[str, Any] = storage.read_json(path)
    is_same = report["fingerprint"] == questions["fingerprint"] and "report_version" in report
    return report if is_same else None


def card(
    manifests: Mapping[str, Mapping[str, Any]],
    report: Mapping[str, Any],
    synthesis: Mapping[str, Any] | None = None,
) -> str:
    """Return the card for the manifests of complete folders and the reports on them."""
    filled = {name: found for name, found in manifests.items() if found["rows"]}
    rows = [(name, found["rows"], found["bytes"]) for name, found in filled.items()]
    body = _TEXT.format(
        name=plain(report["name"]),
        folders=table(
            ("configuration", "rows", "MB"), [(n, f"{r:,}", f"{b / 1e6:,.1f}") for n, r, b in rows]
        ),
        relations=table(
            ("relation", "pairs", "languages"),
            [
                (r["relation"], f"{r['pairs']:,}", f"{r['languages']:,}")
                for r in report["relations"]
            ],
        ),
        sources=table(
            ("source", "documents", "pairs", "rejected"),
            [
                (r["source"], *(f"{r[c]:,}" for c in ("documents", "pairs", "rejects")))
                for r in report["sources"]
            ],
        ),
        questions=question_card.section(synthesis) + "\n" if synthesis else "",
        fingerprint=report["fingerprint"],
        versions=", ".join(f"{name} {v}" for name, v in sorted(report["versions"].items())),
    )
    return f"---\n{header(filled, report)}---\n\n{body}"


def header(manifests: Mapping[str, Mapping[str, Any]], report: Mapping[str, Any]) -> str:
    """Return the YAML header, strings quoted as in JSON: `no` is a language, not a falsehood."""
    spoken = {tag(row["language"]) for row in report["languages"] if row["pairs"]}
    known = sorted(spoken - {"", "und"})
    lines = ["license: other", *yaml_list("language", known)]
    if len(known) > 1:
        lines += yaml_list("multilinguality", ["multilingual"])
    lines += yaml_list("task_categories", ["sentence-similarity", "text-retrieval"])
    lines += yaml_list("size_categories", [_size_category(report["totals"]["pairs"])])
    lines += yaml_list("tags", ["threefold"])
    return "\n".join([*lines, "configs:", *_configs(manifests)]) + "\n"


def _configs(manifests: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines: list[str] = []
    for name in FOLDERS:
        if name in manifests:
            lines += _config(name, FOLDERS[name], is_default=not lines)
    parts = manifests["pairs"]["parts"] if "pairs" in manifests else ()
    folders = {str(part["name"]).partition("/")[0] for part in parts}
    for bucket in map(bucket_name, range(len(BUCKET_EDGES))):
        if f"length={bucket}" in folders:
            lines += _config(f"pairs-{bucket}", f"pairs/length={bucket}/*.parquet")
    return lines


def _config(name: str, pattern: str, *, is_default: bool = False) -> list[str]:
    lines = [f"- config_name: {json.dumps(name)}", f"  data_files: {json.dumps(pattern)}"]
    return [*lines, "  default: true"] if is_default else lines


def yaml_list(key: str, values: list[str]) -> list[str]:
    """Return the lines of a list in a YAML header; none where it is empty."""
    return [f"{key}:", *(f"- {json.dumps(value)}" for value in values)] if values else []


def tag(language: str) -> str:
    """Return a language as a tag of the hub: `pt_BR` is pt-BR there, `sr@latin` sr."""
    return language.partition("@")[0].replace("_", "-")


def _size_category(rows: int) -> str:
    """Return the size class as the hub names them, from n<1K to n>1T."""
    step = sum(rows >= 10 ** (3 + i) for i in range(len(_STEPS)))
    if step == 0:
        return f"n<{_STEPS[0]}"
    return f"{_STEPS[step - 1]}<n<{_STEPS[step]}" if step < len(_STEPS) else f"n>{_STEPS[-1]}"
