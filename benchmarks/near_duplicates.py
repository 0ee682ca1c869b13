"""Recall and precision on planted edits in ten languages of eight and more scripts.

    python benchmarks/near_duplicates.py DATA [LANGUAGE ...]

Base texts are real articles and passages. Of each, copies are made in which 5, 10 or 20 % of the
tokens are replaced by tokens of other texts, deleted, inserted or a third of each ("spread"), and
copies in which one block of so many tokens is replaced. A cell is the share of copies found in the
cluster of their base, with the mean true similarity in brackets.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.real_texts import articles
from curation import clusters
from curation.clusters import BAND, Rows
from curation.minhash import NearDuplicateConfig, as_sets, band_hashes, jaccard
from curation.shingles import Shingles
from curation.text import UNSPACED, dominant_script

LANGUAGES = ("en", "it", "uk", "el", "mr", "bn", "ja", "zh", "th", "ar")
EDITS = ("replace", "delete", "insert", "mixed", "block")
RATES = (0.05, 0.10, 0.20)
BASES = 60
LENGTH = 2500  # characters of a base text
CONFIGS = {
    "default: 5-grams, 14 x 8, 0.75": NearDuplicateConfig(),
    "3-grams, 14 x 6, 0.6": NearDuplicateConfig(ngram=3, character_ngram=3, rows=6, threshold=0.6),
    "2-grams, 14 x 5, 0.5": NearDuplicateConfig(ngram=2, character_ngram=2, rows=5, threshold=0.5),
}


def tokens_of(text: str) -> list[str]:
    """Return words; characters of Han and kana; four letters of Thai, which are about a word."""
    script = dominant_script(text)
    size = 4 if script == "Thai" else 1
    return (
        [text[i : i + size] for i in range(0, len(text), size)]
        if script in UNSPACED
        else text.split()
    )


def join(tokens: Sequence[str], like: str) -> str:
    return ("" if dominant_script(like) in UNSPACED else " ").join(tokens)


def edited(text: str, kind: str, rate: float, pool: Sequence[str], draw: random.Random) -> str:
    tokens = tokens_of(text)
    count = max(1, round(rate * len(tokens)))
    if kind == "block":
        start = draw.randrange(max(1, len(tokens) - count))
        tokens[start : start + count] = draw.choices(pool, k=count)
        return join(tokens, text)
    for place in sorted(draw.sample(range(len(tokens)), min(count, len(tokens))), reverse=True):
        what = draw.choice(EDITS[:3]) if kind == "mixed" else kind
        if what == "delete":
            del tokens[place]
        elif what == "insert":
            tokens.insert(place, draw.choice(pool))
        else:
            tokens[place] = draw.choice(pool)
    return join(tokens, text)


def links(texts: Sequence[str], config: NearDuplicateConfig) -> tuple[Rows, Shingles]:
    """Return the verified edges of texts, known by their number, and their n-gram sets."""
    shingles = config.shingle(texts)
    hashes, has_any = band_hashes(shingles, config)
    keys = np.repeat(np.flatnonzero(has_any).astype(np.uint64), config.bands)
    low = (hashes.ravel() & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    edges = clusters.candidate_edges(clusters.rows_of(BAND, low, keys))
    sets = as_sets(shingles)
    sides = (edges[name].astype(np.int64) for name in ("low", "high"))
    return edges[jaccard(sets, *sides) >= config.threshold], sets


def cluster_of(edges: Rows, count: int) -> np.ndarray:
    """Return the smallest number in each text's cluster."""
    found = clusters.links_of(edges)
    while clusters.centers(found)[1]:
        found = clusters.hash_to_min(found)
    rows, _ = clusters.centers(found)
    label = np.arange(count)
    label[rows["node"].astype(np.int64)] = rows["member"].astype(np.int64)
    return label


def measure(
    bases: Sequence[str], kind: str, rate: float, config: NearDuplicateConfig
) -> list[float]:
    """Return mean similarity, share above the threshold, their recall, all recall, precision."""
    draw = random.Random(f"{kind} {rate}")
    pool = [token for text in bases for token in tokens_of(text)]
    copies = [edited(text, kind, rate, pool, draw) for text in bases]
    texts, number = [*bases, *copies], len(bases)
    edges, sets = links(texts, config)
    label = cluster_of(edges, len(texts))
    true = jaccard(sets, np.arange(number), np.arange(number) + number)
    together = label[:number] == label[number:]
    pairs = [p for c in np.unique(label) for p in combinations(np.flatnonzero(label == c), 2)]
    right = sum(
        (b - a) % number == 0 or similar(sets, a % number, b % number, config) for a, b in pairs
    )
    above = true >= config.threshold
    return [
        float(true.mean()),
        float(above.mean()),
        float(together[above].mean()) if above.any() else float("nan"),
        float(together.mean()),
        right / len(pairs) if pairs else float("nan"),
    ]


def similar(sets: Shingles, left: int, right: int, config: NearDuplicateConfig) -> bool:
    """Tell whether two base texts are near duplicates themselves: copies of both then are too."""
    return bool(jaccard(sets, np.array([left]), np.array([right]))[0] >= config.threshold)


def main() -> None:
    data = Path(sys.argv[1])
    texts = {
        name: [t[:LENGTH] for t in articles(data, name, BASES)]
        for name in sys.argv[2:] or LANGUAGES
    }
    for title, config in CONFIGS.items():
        print(f"\n### {title}\n")
        heads = [f"{kind} {rate:.0%}" for kind in ("spread", "block") for rate in RATES]
        print("| language | " + " | ".join(heads) + " | of those above the threshold | precision |")
        print("|---" * (len(heads) + 3) + "|")
        for name, bases in texts.items():
            print_row(name, bases, config)


def print_row(name: str, bases: Sequence[str], config: NearDuplicateConfig) -> None:
    """Print the recall by kind and rate, with the mean similarity of base and copy."""
    cells, above, precision = [], [], []
    for kinds in (EDITS[:4], EDITS[4:]):
        for rate in RATES:
            found = np.array([measure(bases, kind, rate, config) for kind in kinds])
            cells.append(f"{found[:, 3].mean():.2f} ({found[:, 0].mean():.2f})")
            above += found[:, 2].tolist()
            precision += found[:, 4].tolist()
    ends = f"{np.nanmean(above):.2f} | {np.nanmin(precision):.2f}"
    print(f"| {name} | " + " | ".join(cells) + f" | {ends} |")


if __name__ == "__main__":
    main()
