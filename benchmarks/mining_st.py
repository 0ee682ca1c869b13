"""Mine with sentence-transformers; runs under a Python that has version 6.2.0.

    ORACLE/bin/python benchmarks/mining_st.py PAIRS.jsonl OUT.jsonl MODEL '{"tokens": 64, ...}'

The last argument holds `tokens` (where texts are cut), `dtype` and the options of
`mine_hard_negatives`; `corpus` is a file of JSON lines with further passages as `text`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives


def lines_of(path: str) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def main(pairs: str, out: str, name: str, options: str) -> None:
    chosen = json.loads(options)
    kwargs = {"dtype": chosen.pop("dtype", "float32")}
    model = SentenceTransformer(name, device="cpu", model_kwargs=kwargs)
    model.max_seq_length = chosen.pop("tokens")
    rows = lines_of(pairs)
    if corpus := chosen.pop("corpus", ""):
        chosen["corpus"] = [row["text"] for row in lines_of(corpus)]
    columns = {"query": [r["query"] for r in rows], "positive": [r["pos"][0] for r in rows]}
    mined = mine_hard_negatives(
        Dataset.from_dict(columns), model, output_format="labeled-list", **chosen
    )
    mined.to_json(out, force_ascii=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
