"""Mine with sentence-transformers; runs under a Python that has version 6.2.0.

    ORACLE/bin/python benchmarks/mining_st.py PAIRS.jsonl OUT.jsonl MODEL '{"tokens": 64, ...}'

The last argument holds `tokens` (where texts are cut), `dtype` and the options of
`mine_hard_negatives`.
"""

from __future__ import annotations

import json
import sys

from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives


def main(pairs: str, out: str, name: str, options: str) -> None:
    chosen = json.loads(options)
    kwargs = {"dtype": chosen.pop("dtype", "float32")}
    model = SentenceTransformer(name, device="cpu", model_kwargs=kwargs)
    model.max_seq_length = chosen.pop("tokens")
    with open(pairs, encoding="utf-8") as handle:
        rows = [json.loads(line) for line in handle]
    columns = {"query": [r["query"] for r in rows], "positive": [r["pos"][0] for r in rows]}
    mined = mine_hard_negatives(
        Dataset.from_dict(columns), model, output_format="labeled-list", **chosen
    )
    mined.to_json(out, force_ascii=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
