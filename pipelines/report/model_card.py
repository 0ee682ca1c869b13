"""The model card: `OUT/model/README.md`. What comes out of data or config is escaped or quoted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from curation import manifest, storage
from pipelines.report.card import tag, yaml_list
from pipelines.report.markdown import plain, table

_SHOWN = 40
_LAST_STEPS = 50

_TEXT = """\
# {name}

An M3 embedding model: one encoder gives a dense vector, a weight for each token (sparse) and a
vector for each token (multi-vector). Trained with Threefold from {encoder}.

```python
from sentence_transformers import SentenceTransformer  # the dense vector

model = SentenceTransformer("path/to/this/folder")
```

The folder has BGE-M3's layout (`sparse_linear.pt`, `colbert_linear.pt` beside the encoder), so it
loads as one of its models, with all three outputs. Texts were cut at {queries} tokens (queries) and
{passages} tokens (passages).

## Training data

{folders}

{rows}

## Training

{steps}

{metrics}

```toml
{config}
```

Fingerprint of configuration and inputs: `{fingerprint}`. Versions: {versions}.

## Licence

The weights derive from the encoder and from the texts above, whose terms this tool cannot know:
**replace `license: other` in the header by what they allow** before you share this folder.

## Known limits

- Retrieval is only as good as its training rows: mined negatives may answer after all, and
  questions that a model wrote are not those of users.
- Languages outside the table were not trained here; they are as good as the encoder left them.
"""


def card(
    description: Mapping[str, Any],
    inputs: Mapping[str, Mapping[str, Any]],
    rows: Counter[tuple[str, str, str, str]],
    lines: Sequence[Mapping[str, Any]],
    config_toml: str,
) -> str:
    """Return the card.

    `description` is that of the output, `inputs` the manifests of the folders by name, `rows` the
    rows by (folder, source, relation, language), `lines` those of the log.
    """
    model = description["config"]["model"]
    body = _TEXT.format(
        name=plain(str(description["name"])),
        encoder=plain(model["encoder"]),
        queries=model["max_query_tokens"],
        passages=model["max_passage_tokens"],
        folders=table(
            ("folder", "rows", "MB", "content"), [_folder(n, m) for n, m in inputs.items()]
        ),
        rows=_rows(rows),
        steps=_steps(lines),
        metrics=_metrics(lines),
        config=_fenced(config_toml),
        fingerprint=description["fingerprint"],
        versions=", ".join(f"{n} {v}" for n, v in sorted(manifest.versions().items())),
    )
    return f"---\n{_header(rows, str(model['encoder']))}---\n\n{body}"


def rows_of(
    out: str, inputs: Mapping[str, Mapping[str, Any]]
) -> Counter[tuple[str, str, str, str]]:
    """Return the rows of some folders by (folder, source, relation, language)."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for folder, listed in inputs.items():
        for path in manifest.part_paths(storage.join(out, folder), listed):
            with storage.open_read(path) as handle, pq.ParquetFile(handle) as file:
                names = set(file.schema_arrow.names)
                columns = [n for n in ("source", "relation", "language") if n in names]
                read = file.read(columns=columns)
            found = read.group_by(columns, use_threads=False).aggregate([([], "count_all")])
            for row in found.to_pylist():
                labels = (str(row.get(n) or "") for n in ("source", "relation", "language"))
                counts[(folder, *labels)] += row["count_all"]  # type: ignore[index]
    return counts


def _folder(name: str, listed: Mapping[str, Any]) -> tuple[str, ...]:
    digest = manifest.content_digest(listed)
    return name, f"{listed['rows']:,}", f"{listed['bytes'] / 1e6:,.1f}", digest


def _rows(rows: Counter[tuple[str, str, str, str]]) -> str:
    listed = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    cells = [(*labels, f"{count:,}") for labels, count in listed[:_SHOWN]]
    header = ("folder", "source", "relation", "language", "rows")
    rest = len(listed) - len(cells)
    return table(header, cells) + (f"\n\n… and {rest:,} more kinds." if rest > 0 else "")


def _steps(lines: Sequence[Mapping[str, Any]]) -> str:
    steps = [line for line in lines if "loss" in line]
    rows = []
    for phase in dict.fromkeys(line["phase"] for line in steps):
        own = [line for line in steps if line["phase"] == phase]
        last = own[-_LAST_STEPS:]
        names = dict.fromkeys(name for line in last for name in line["parts"])
        parts = (
            f"{name} {sum(line['parts'][name] for line in last) / len(last):.3f}" for name in names
        )
        read = (sum(line[name] for line in own) for name in ("rows", "tokens"))
        rows.append((phase, f"{len(own):,}", *(f"{n:,}" for n in read), ", ".join(parts)))
    return table(("stage", "steps", "rows", "tokens", "losses at its end"), rows)


def _metrics(lines: Sequence[Mapping[str, Any]]) -> str:
    judged = [line for line in lines if "scores" in line]
    if not judged:
        return "Held-out queries were not evaluated during training (`train.evaluate_steps`)."
    phase = judged[-1]["phase"]
    best = [line for line in judged if line["phase"] == phase and line["is_best"]][-1]
    measures = list(next(iter(best["scores"].values())))
    rows = [
        (mode, *(f"{values[m]:.4f}" for m in measures)) for mode, values in best["scores"].items()
    ]
    told = f"Held-out queries, best evaluation of {plain(phase)} (step {best['step']:,}):"
    return f"{told}\n\n{table(('retrieval', *measures), rows)}"


def _fenced(toml: str) -> str:
    """Return TOML that ends no code block: strings may write a grave accent as an escape."""
    return toml.replace("```", "\\u0060\\u0060\\u0060").rstrip()


def _header(rows: Counter[tuple[str, str, str, str]], encoder: str) -> str:
    """Return the YAML header, strings quoted as in JSON."""
    known = sorted({tag(language) for *_, language in rows} - {"", "und"})
    lines = ["license: other", *yaml_list("language", known)]
    lines += ["pipeline_tag: sentence-similarity", "library_name: sentence-transformers"]
    if re.fullmatch(r"[\w.-]+/[\w.-]+", encoder):
        lines.append(f"base_model: {json.dumps(encoder)}")
    tags = ["threefold", "feature-extraction", "sparse-retrieval", "multi-vector"]
    return "\n".join([*lines, *yaml_list("tags", tags)]) + "\n"
