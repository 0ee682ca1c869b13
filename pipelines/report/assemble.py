"""Counts and facts of all parts → the one value that `curate.json` holds and the page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipelines.report import bins
from pipelines.report.facts import Facts
from pipelines.stage import label_counts, reject_counts

REPORT_VERSION = 1

_QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}

Report = dict[str, Any]
"""See docs/formats.md for the keys."""


def assemble(
    name: str, fingerprint: str, versions: Mapping[str, str], counts: Counter[str], facts: Facts
) -> Report:
    """Return the report; nothing in it depends on the time, the machine or the order of work."""
    return {
        "report_version": REPORT_VERSION,
        "name": name,
        "fingerprint": fingerprint,
        "versions": dict(versions),
        "totals": totals(counts),
        "sources": sources(counts),
        "relations": relations(counts),
        "reasons": reasons(counts),
        "languages": languages(counts, facts),
        "histograms": histograms(facts),
        "samples": samples(facts),
        "counts": dict(counts),
    }


def totals(counts: Counter[str]) -> dict[str, int]:
    """Return how much was read, written and rejected, and in how many languages pairs are."""
    found = {
        name: sum(n for _, n in label_counts(counts, kind))
        for name, kind in (("records", "in"), ("documents", "documents"), ("pairs", "pairs"))
    }
    found["rejects"] = sum(reject_counts(counts).values())
    found["languages"] = len({labels[1] for labels, _ in label_counts(counts, "pairs")})
    found["shuffled_pairs"] = sum(n for _, n in label_counts(counts, "shuffled"))
    return found


def sources(counts: Counter[str]) -> list[dict[str, Any]]:
    """Return a row per source, the one with the most pairs first."""
    rows: dict[str, Counter[str]] = {}
    columns = {"in": "records", "documents": "documents", "pairs": "pairs"}
    for kind, column in columns.items():
        for (source, *_), number in label_counts(counts, kind):
            rows.setdefault(source, Counter())[column] += number
    for (_, source, _), number in label_counts(counts, "rejects"):
        rows.setdefault(source, Counter())["rejects"] += number
    shown = (*columns.values(), "rejects")
    found = [
        {"source": source} | {column: row[column] for column in shown}
        for source, row in rows.items()
    ]
    return sorted(found, key=lambda row: (-row["pairs"], row["source"]))


def relations(counts: Counter[str]) -> list[dict[str, Any]]:
    """Return a row per relation of pairs, the largest first."""
    pairs, shuffled = Counter[str](), Counter[str]()
    spoken: dict[str, set[str]] = {}
    for (_, language, relation), number in label_counts(counts, "pairs"):
        pairs[relation] += number
        spoken.setdefault(relation, set()).add(language)
    for (relation,), number in label_counts(counts, "shuffled"):
        shuffled[relation] += number
    return [
        {
            "relation": relation,
            "pairs": pairs[relation],
            "languages": len(spoken[relation]),
            "shuffled_pairs": shuffled[relation],
        }
        for relation in _largest_first(pairs)
    ]


def reasons(counts: Counter[str]) -> list[dict[str, Any]]:
    """Return a row per reason, the most frequent first, with its count by source."""
    rows: dict[str, Counter[str]] = {}
    for (reason, source, _), number in label_counts(counts, "rejects"):
        rows.setdefault(reason, Counter())[source] += number
    sizes = Counter({reason: row.total() for reason, row in rows.items()})
    return [
        {"reason": reason, "rejects": sizes[reason], "sources": dict(sorted(rows[reason].items()))}
        for reason in _largest_first(sizes)
    ]


def languages(counts: Counter[str], facts: Facts) -> list[dict[str, Any]]:
    """Return a row per language, the one with the most pairs and documents first."""
    documents = Counter[str]()
    pairs: dict[str, Counter[str]] = {}
    rejects: dict[str, Counter[str]] = {}
    for (_, language), number in label_counts(counts, "documents"):
        documents[language] += number
    for (_, language, relation), number in label_counts(counts, "pairs"):
        pairs.setdefault(language, Counter())[relation] += number
    for (reason, _, language), number in label_counts(counts, "rejects"):
        rejects.setdefault(language, Counter())[reason] += number
    sizes = Counter({language: found.total() for language, found in pairs.items()})
    sizes.update(documents)
    return [
        {
            "language": language,
            "documents": documents[language],
            "pairs": _sorted(pairs.get(language, Counter())),
            "rejects": _sorted(rejects.get(language, Counter())),
            "characters": _bins(facts, f"documents|characters|language|{language}"),
            "positive_tokens": _bins(facts, f"pairs|positive_tokens|language|{language}"),
        }
        for language in [*_largest_first(sizes), *sorted(set(rejects) - set(sizes))]
    ]


def histograms(facts: Facts) -> list[dict[str, Any]]:
    """Return every measure over all rows, and those of pairs by relation."""
    rows = []
    for key, counted in sorted(facts.counts.items()):
        kind, measure, column, value = key.split("|", 3)
        if column == "language":
            continue
        scale = bins.scale_of(measure)
        rows.append(
            {
                "kind": kind,
                "measure": measure,
                "relation": value,
                "scale": scale,
                "rows": counted.total(),
                **{
                    name: float(f"{bins.quantile(counted, q, measure):.3g}")
                    for name, q in _QUANTILES.items()
                },
                "bins": {str(b): counted[b] for b in sorted(counted)},
            }
        )
    return rows


def samples(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    """Return the rows to read: by source, by relation and source, by reason and source."""
    found: dict[str, list[dict[str, Any]]] = {"documents": [], "pairs": [], "rejects": []}
    for key, rows in sorted(facts.samples.items()):
        kind, group, source = key.split("|", 2)
        shown = [{name: v for name, v in row.items() if name != "rank"} for row in rows]
        found[kind].append({"group": group, "source": source or group, "rows": shown})
    return found


def _bins(facts: Facts, key: str) -> dict[str, int]:
    counted = facts.counts.get(key, Counter())
    return {str(b): counted[b] for b in sorted(counted)}


def _largest_first(sizes: Counter[str]) -> list[str]:
    return sorted(sizes, key=lambda name: (-sizes[name], name))


def _sorted(sizes: Counter[str]) -> dict[str, int]:
    return {name: sizes[name] for name in _largest_first(sizes)}
