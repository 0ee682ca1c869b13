"""Clusters of texts by datatrove's MinHash steps; runs in an environment of the peer.

    PEER/bin/python benchmarks/near_duplicates_datatrove.py TEXTS.jsonl LANGUAGE

prints a JSON object: (text, cluster) of each text that is in one, and the CPU seconds of the steps.
LANGUAGE is the peer's code of the word splitter, as eng, jpn, zho, tha.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.utils.hashing import HashConfig

CONFIG = MinhashConfig(
    n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64)
)


def main() -> None:
    path, language = sys.argv[1:3]
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    documents = [Document(text=row["text"], id=str(i)) for i, row in enumerate(rows)]
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        signatures, buckets, removed = (f"{folder}/{name}" for name in ("sig", "buckets", "rm"))
        signer = MinhashDedupSignature(signatures, config=CONFIG, language=language)
        signer.run(iter(documents), 0, 1)
        finder = MinhashDedupBuckets(signatures, buckets, config=CONFIG)
        for rank in range(CONFIG.num_buckets):
            finder.run(None, rank, CONFIG.num_buckets)
        MinhashDedupCluster(
            buckets, removed, config=CONFIG, save_cluster_id=True, ignore_index_matches=True
        ).run(None, 0, 1)
        seconds = time.process_time() - start
        data = Path(removed, "000000.clusters").read_bytes()
    print(json.dumps({"clusters": list(struct.iter_unpack("<2I", data)), "s": seconds}))


if __name__ == "__main__":
    main()
