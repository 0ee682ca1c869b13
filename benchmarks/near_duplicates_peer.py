"""The same documents and parameters through a peer: which documents does either keep?

    python benchmarks/near_duplicates_peer.py DATA PEER PEER_PYTHON [LANGUAGE ...]

PEER is text-dedup (0.4.0) or datatrove (0.10.1), PEER_PYTHON the interpreter of an environment that
has it. Neither verifies candidates, so agreement is shown with our threshold off (0) and on.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.near_duplicates import cluster_of, edited, links, tokens_of
from benchmarks.real_texts import articles
from curation.minhash import NearDuplicateConfig, as_sets, jaccard

COPIES = (("replace", 0.01), ("delete", 0.02), ("block", 0.05), ("block", 0.1), ("mixed", 0.05))


def documents(data: Path, languages: Sequence[str]) -> list[str]:
    """Return real texts, three in ten of them followed by edited copies."""
    draw = random.Random(7)
    texts: list[str] = []
    for name in languages:
        bases = [text[:4000] for text in articles(data, name, 400, 300)]
        pool = [token for text in bases[:50] for token in tokens_of(text)]
        for text in bases:
            texts.append(text)
            if draw.random() < 0.3:
                kind, rate = draw.choice(COPIES)
                texts.append(edited(text, kind, rate, pool, draw))
    draw.shuffle(texts)
    return [" ".join(text.split()) for text in texts]


CLUSTERS = """
import json, pickle, sys
parent = pickle.load(open(sys.argv[1], "rb"))
print(json.dumps([[int(x), int(parent.find(x))] for x in list(parent.parent)]))
"""


def datatrove(python: str, texts: Sequence[str], language: str) -> tuple[np.ndarray, float]:
    """Return the cluster of each document that datatrove finds, and its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in.jsonl")
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        script = str(Path(__file__).with_name("near_duplicates_datatrove.py"))
        command = [python, script, str(path), DATATROVE_LANGUAGES.get(language, "eng")]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    label = np.arange(len(texts))
    first: dict[int, int] = {}
    for number, cluster in sorted(found["clusters"]):
        label[number] = first.setdefault(cluster, number)
    return label, float(found["s"])


def text_dedup(python: str, texts: Sequence[str], _: str) -> tuple[np.ndarray, float]:
    """Return the cluster of each document that text-dedup finds, and its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in.jsonl")
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        options = {
            "path": "json", "data_files": path, "split": "train", "column": "text",
            "batch_size": 10000, "num_perm": 112, "b": 14, "r": 8, "ngram": 5, "min_length": 1,
            "num_proc": 1, "cache_dir": f"{folder}/cache", "output": f"{folder}/out",
            "use_auth_token": "false",
        }  # fmt: skip
        command = [python, "-m", "text_dedup.minhash", "--debug"]
        command += [str(x) for key, value in options.items() for x in (f"--{key}", value)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [python, "-c", CLUSTERS, f"{folder}/out/uf.pkl"]
        found = subprocess.run(command, check=True, capture_output=True).stdout
    label = np.arange(len(texts))
    for number, root in json.loads(found):
        label[number] = root
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return label, used


PEERS = {"text-dedup": text_dedup, "datatrove": datatrove}
DATATROVE_LANGUAGES = {"ja": "jpn", "zh": "zho", "th": "tha"}
"""Its word splitters; English's serves the languages that separate words."""


def pairs_of(label: np.ndarray) -> set[tuple[int, int]]:
    """Return the pairs of documents that are in one cluster."""
    groups: dict[int, list[int]] = {}
    for number, root in enumerate(label.tolist()):
        groups.setdefault(root, []).append(number)
    return {pair for group in groups.values() for pair in combinations(group, 2)}


def ours(texts: Sequence[str], threshold: float) -> tuple[np.ndarray, float]:
    start = time.process_time()
    edges, _ = links(texts, NearDuplicateConfig(threshold=threshold))
    return cluster_of(edges, len(texts)), time.process_time() - start


def main() -> None:
    data, peer, python, chosen = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
    groups = [chosen] if chosen else [["en", "it", "uk", "el"], ["ja"], ["zh"], ["th"]]
    heads = ["languages", "documents", f"{peer}: kept", "pairs", "J >= 0.75", "CPU s"]
    heads += ["ours at 0: kept", "pairs shared", "ours at 0.75: kept", "pairs shared", "own pairs"]
    print("| " + " | ".join([*heads, "CPU s"]) + " |")
    print("|---" * (len(heads) + 1) + "|")
    for languages in groups:
        texts = documents(data, languages)
        label, used = PEERS[peer](python, texts, languages[0])
        theirs = pairs_of(label)
        sets = as_sets(NearDuplicateConfig().shingle(texts))
        left, right = np.array(sorted(theirs)).T
        true = np.mean(jaccard(sets, left, right) >= 0.75)
        cells = [", ".join(languages), len(texts), len(np.unique(label)), len(theirs)]
        cells += [f"{true:.2f}", f"{used:.1f}"]
        for threshold in (0.0, 0.75):
            own, cpu = ours(texts, threshold)
            pairs = pairs_of(own)
            cells += [len(np.unique(own)), len(pairs & theirs)]
        print("| " + " | ".join(map(str, [*cells, len(pairs), f"{cpu:.2f}"])) + " |")


if __name__ == "__main__":
    main()
