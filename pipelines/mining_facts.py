"""What `reports/mine-negatives.json` says: scores, margins, starvation, removals, samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.draw import rank
from curation.minhash import as_sets, jaccard
from curation.shingles import shingle
from mining.config import MiningConfig
from mining.lists import Ids
from mining.negatives import RULES, needed
from pipelines.mining_rows import Result, table_of

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

BINS = 40
_EXCERPT = 600
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def facts_of(result: Result, kept: Mask, config: MiningConfig) -> dict[str, Any]:
    """Return the facts of a run; `kept` (Q,) are the rows written."""
    pool, mined = result.pool, result.mined
    everyone = np.arange(len(pool))
    lacking = mined.counts < needed(pool, everyone, config)
    return {
        "totals": {
            "rows": int(kept.sum()),
            "dropped": int((~kept).sum()),
            "passages": len(pool.passages),
            "negatives": int(mined.counts[kept].sum()),
            "labelled_negatives": int(pool.negatives.counts[kept].sum()),
            "short": int((lacking & kept).sum()),
            "filled": int(_drawn(result).any(1).sum()) if config.starved == "random" else 0,
            "positive_not_found": int(((mined.positive_ranks < 0) & (mined.depths > 0)).sum()),
        },
        "removed": dict(zip(RULES, mined.removed.sum(0).tolist(), strict=True)),
        "depths": _depths(result, lacking),
        "languages": _languages(result, lacking),
        "scores": _histograms(result),
        "samples": samples(result, np.flatnonzero(kept), config),
    }


def _drawn(result: Result) -> Mask:
    """Mark the (Q, w) negatives that were drawn at random."""
    return (result.mined.ids >= 0) & (result.mined.ranks < 0)


def _depths(result: Result, lacking: Mask) -> list[dict[str, int]]:
    """Return how many rows were last searched at each depth, and how many stayed short there."""
    depths = result.mined.depths
    return [
        {
            "depth": depth,
            "rows": int((depths == depth).sum()),
            "short": int(((depths == depth) & lacking).sum()),
        }
        for depth in np.unique(depths).tolist()
    ]


def names_of(pool: Any) -> list[str]:
    """Return each row's language: that of the query, with the passages' where it is another."""
    both = (pool.rows[name].to_pylist() for name in ("query_language", "language"))
    return [q if q == p else f"{q} → {p}" for q, p in zip(*both, strict=True)]


def judged_scores(result: Result) -> tuple[Floats, Floats]:
    """Return the (Q,) lowest positive and (Q, w) negative scores that the margins judged."""
    second = bool(np.isfinite(result.mined.teachers).any())
    own = result.teachers if second else result.scores
    positive = np.minimum.reduceat(own.positives, result.pool.positives.starts[:-1])
    return positive, result.mined.teachers if second else result.mined.scores


def _languages(result: Result, lacking: Mask) -> list[dict[str, Any]]:
    """Return per language rows, starved rows, removals, and quantiles of scores and margins."""
    positive, negative = judged_scores(result)
    names = np.array(names_of(result.pool))
    found = []
    for name in np.unique(names).tolist():
        rows = np.flatnonzero(names == name)
        margins = positive[rows, None] - negative[rows]
        removed = result.mined.removed[rows].sum(0).tolist()
        found.append(
            {
                "language": name,
                "rows": len(rows),
                "short": int(lacking[rows].sum()),
                "deeper": int((result.mined.depths[rows] > result.mined.depths.min()).sum()),
                "positives": _quantiles(positive[rows]),
                "negatives": _quantiles(negative[rows]),
                "margins": _quantiles(margins),
                "removed": {k: n for k, n in zip(RULES, removed, strict=True) if n},
            }
        )
    return sorted(found, key=lambda row: (-row["rows"], row["language"]))


def _quantiles(values: Floats) -> list[float]:
    real = values[np.isfinite(values)]
    if not real.size:
        return []
    return [round(float(q), 4) for q in np.quantile(real.astype(np.float64), _QUANTILES)]


def _histograms(result: Result) -> list[dict[str, Any]]:
    """Return per language how scores of positives and negatives are spread over one axis."""
    positive, negative = judged_scores(result)
    finite = np.concatenate([positive[np.isfinite(positive)], negative[np.isfinite(negative)]])
    if not finite.size:
        return []
    low, high = float(finite.min()), float(finite.max())
    names = np.array(names_of(result.pool))
    return [
        {
            "language": name,
            "low": low,
            "high": high,
            "positives": _binned(positive[names == name], low, high),
            "negatives": _binned(negative[names == name], low, high),
        }
        for name in np.unique(names).tolist()
    ]


def _binned(values: Floats, low: float, high: float) -> list[int]:
    finite = values[np.isfinite(values)].astype(np.float64)  # fp32 has no room for many bins
    counts, _ = np.histogram(finite, BINS, (low, max(high, low + 1e-6)))
    listed: list[int] = counts.tolist()
    return listed


def samples(result: Result, rows: Ids, config: MiningConfig) -> list[dict[str, Any]]:
    """Return rows to read, drawn by a hash of their id, the languages taking turns."""
    names = names_of(result.pool)
    ids = result.pool.rows["id"].to_pylist()
    by_language: dict[str, list[int]] = {}
    for row in sorted(rows.tolist(), key=lambda i: rank(ids[i], "report")):
        by_language.setdefault(names[row], []).append(row)
    turns = sorted(
        (place, name, row) for name, own in by_language.items() for place, row in enumerate(own)
    )
    chosen = np.array(sorted(row for _, _, row in turns[: config.samples]), np.int64)
    if not len(chosen):
        return []
    table = table_of(result, chosen, np.zeros(len(chosen), np.int64)).to_pylist()
    return [_sample(row) for row in table]


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    second = row["positive_teacher_scores"] and None not in (row["negative_teacher_scores"] or [])
    kind = "teacher_scores" if second else "scores"
    positive, negative = (_padded(row, side, kind) for side in ("positive", "negative"))
    lowest = min((s for s in positive if s is not None), default=None)
    alike = shared_text(row["positives"], row["negatives"])
    labels = ("id", "query", "query_language", "language", "source", "relation")
    return {
        **{name: row[name] for name in labels},
        "positives": [
            {"text": text[:_EXCERPT], "score": score}
            for text, score in zip(row["positives"], positive, strict=True)
        ],
        "negatives": [
            {
                "text": text[:_EXCERPT],
                "score": score,
                "source": source,
                "suspect": suspicion(score, lowest, share),
            }
            for text, score, source, share in zip(
                row["negatives"], negative, row["negative_sources"], alike, strict=True
            )
        ],
    }


def _padded(row: Mapping[str, Any], side: str, kind: str) -> list[float | None]:
    scores = row[f"{side}_{kind}"] or []
    return [*scores, *[None] * (len(row[f"{side}s"]) - len(scores))]


def suspicion(score: float | None, lowest: float | None, shared: float) -> str:
    """Return why a negative may be an answer, "" where nothing speaks for it.

    It scores within 5 % of the lowest positive (what NV-Retriever takes for a false negative), or
    half of the shorter text's word 3-grams stand in the other one.
    """
    if shared >= 0.5:
        return f"shares {shared:.0%} with a positive"
    if score is not None and lowest is not None and score > lowest - 0.05 * abs(lowest):
        return "scores like the positive"
    return ""


def shared_text(positives: Sequence[str], negatives: Sequence[str]) -> list[float]:
    """Return how much of each negative, or of the positive it holds, is shared: of 3-grams."""
    found = as_sets(shingle([*positives, *negatives], 3, 3))
    sizes, first = np.diff(found.offsets), len(positives)
    pairs = np.array([(p, first + n) for n in range(len(negatives)) for p in range(first)])
    if not len(pairs):
        return []
    left, right = pairs.T
    both = sizes[left] + sizes[right]
    alike = jaccard(found, left, right)
    shared = alike * both / (1 + alike) / np.maximum(1, np.minimum(sizes[left], sizes[right]))
    most: list[float] = shared.reshape(len(negatives), first).max(1).tolist()
    return most
