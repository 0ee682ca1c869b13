"""Hybrid search over 100,000 passages: latency by mode, memory and size; FAISS and bm25s beside.

    python -m benchmarks.search grow REAL WORK [N]     an index of N passages from a real one
    python -m benchmarks.search measure WORK QUERIES   one JSON line per thing measured

REAL is an index that `python -m pipelines index` wrote of real passages. Beyond these, passages are
perturbed copies: dense vectors with noise of 0.03 a number, normalised again; a fifth of a
passage's tokens and words exchanged with another's, weights times exp(0.2 · noise). Token vectors
are the real ones, 64 a passage; all parts link to the file of the first. QUERIES is a file of real
questions, one a line. One thread; times are medians, CPU seconds the process's own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

from curation import storage
from mining.csr import Csr, concatenate
from mining.hybrid import FILE, HybridIndex
from mining.hybrid_parts import PASSAGES, Part, Passage
from mining.index import DenseIndex
from mining.index_config import IndexConfig
from mining.index_files import save_index
from mining.shards import Shards
from mining.sparse_index import SparseIndex

_PART, _TOKENS = 16_384, 64
_NOISE, _EXCHANGED, _SPREAD = 0.03, 0.2, 0.2
_WARM, _DEPTH = 20, 1000


def grow(real: str, work: str, count: int, factory: str) -> None:
    """Write an index of `count` passages."""
    source = HybridIndex(real)
    shutil.rmtree(work, ignore_errors=True)
    draw = np.random.default_rng(0)
    names = []
    for start in range(0, count, _PART):
        names.append(f"part-{len(names):05d}")
        rows = draw.integers(0, len(source), min(_PART, count - start))
        folder = Path(work) / "parts" / names[-1]
        folder.mkdir(parents=True)
        write_copy(source, rows, folder, draw, first=start)
        if len(names) == 1:
            write_vectors(source, rows, folder)
        else:
            link_vectors(folder, len(rows))
    parts = [Part(str(Path(work) / "parts" / name)) for name in names]
    started = time.process_time()
    SparseIndex.write(f"{work}/sparse", (part.sparse for part in parts), source.sparse.vocabulary)
    told("build sparse", cpu_s=time.process_time() - started)
    started = time.process_time()
    config = IndexConfig(factory=factory, refine=int(factory == "SQfp16"))
    built = DenseIndex.build(Shards([p.dense_file for p in parts]), config, depth=200, say=print)
    save_index(built, f"{work}/dense")
    told(f"build dense {factory}", cpu_s=time.process_time() - started)
    described = source.description | {"parts": names, "passages": count}
    storage.write_json(f"{work}/{FILE}", described)


def write_copy(
    source: HybridIndex, rows: Any, folder: Path, draw: np.random.Generator, first: int
) -> None:
    """Write perturbed copies of passages: vectors, weights and texts."""
    dense = source.vectors.take(rows)
    dense += draw.normal(0, _NOISE, dense.shape).astype(np.float32)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    np.save(folder / "dense.npy", dense.astype(np.float16))
    other = draw.permutation(rows)
    mine, theirs = (sparse_of(source, numbers) for numbers in (rows, other))
    mixed = exchanged(mine, theirs, draw)
    for name in ("indptr", "tokens", "weights"):
        np.save(folder / f"sparse.{name}.npy", getattr(mixed, name))
    passages = [source.passage(int(n)) for n in rows]
    others = [source.passage(int(n)) for n in other]
    pairs = zip(passages, others, strict=True)
    texts = [mixed_words(one.text, two.text, draw) for one, two in pairs]
    written = [
        replace(p, id=f"{p.id}-{first + i}", text=text)
        for i, (p, text) in enumerate(zip(passages, texts, strict=True))
    ]
    write_texts(folder, written)


def sparse_of(source: HybridIndex, numbers: Any) -> Csr:
    return concatenate([part.sparse for part in source.parts]).take(numbers)


def exchanged(mine: Csr, theirs: Csr, draw: np.random.Generator) -> Csr:
    """Return vectors of which a fifth of the tokens is another's."""
    rows, tokens, weights = [], [], []
    for csr, share in ((mine, 1 - _EXCHANGED), (theirs, _EXCHANGED)):
        kept = draw.random(len(csr.tokens)) < share
        rows.append(np.repeat(np.arange(len(csr)), np.diff(csr.indptr))[kept])
        tokens.append(csr.tokens[kept])
        noise = np.exp(_SPREAD * draw.standard_normal(int(kept.sum())))
        weights.append(csr.weights[kept] * noise.astype(np.float32))
    parts = map(np.concatenate, (rows, tokens, weights))
    return Csr.from_entries(*parts, len(mine), "largest")


def mixed_words(text: str, other: str, draw: np.random.Generator) -> str:
    words, others = re.split(r"(?<=\s)", text), re.split(r"(?<=\s)", other)
    for place in np.flatnonzero(draw.random(len(words)) < _EXCHANGED).tolist():
        words[place] = others[place % len(others)]
    return "".join(words)


def write_texts(folder: Path, passages: Sequence[Passage]) -> None:
    table = pa.Table.from_pylist([asdict(passage) for passage in passages], PASSAGES)
    with (
        pa.OSFile(str(folder / "texts.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, PASSAGES) as to,
    ):
        to.write_table(table)


def write_vectors(source: HybridIndex, rows: Any, folder: Path) -> None:
    """Write the first token vectors of real passages."""
    [packed] = [part.packed for part in source.parts]
    starts = packed.starts.numpy()
    counts = np.minimum(np.diff(starts), _TOKENS)[rows]
    borders = np.concatenate([[0], counts.cumsum()])
    places = np.arange(borders[-1]) + np.repeat(starts[rows] - borders[:-1], counts)
    np.save(folder / "vectors.npy", packed.vectors.numpy()[places])
    np.save(folder / "vectors.starts.npy", borders)


def link_vectors(folder: Path, count: int) -> None:
    first = folder.parent / "part-00000"
    os.link(first / "vectors.npy", folder / "vectors.npy")
    np.save(folder / "vectors.starts.npy", np.load(first / "vectors.starts.npy")[: count + 1])


def measure(work: str, questions: str) -> None:
    """Time the modes, their parts and the peers on the same queries."""
    import torch

    from pipelines.search_index import model_of
    from pipelines.searching import Searcher

    torch.set_num_threads(1)
    before = resident()
    index = HybridIndex(work)
    sizes(work)
    told("index opened", resident_mb=resident() - before)
    searcher = Searcher(index, model_of(index))
    texts = Path(questions).read_text(encoding="utf-8").splitlines()
    started = time.process_time()
    queries = searcher._encode(texts)
    told("encode a query", cpu_ms=(time.process_time() - started) * 1000 / len(texts))
    before = resident()
    for mode in index.modes:
        timed(f"mode {mode}, top 10", queries, lambda q, m=mode: index.search(q, m, 10))
    told("after all modes", resident_mb=resident() - before, mapped_mb=mapped())
    stages(index, queries)
    bm25(index, texts)


def stages(index: HybridIndex, queries: Sequence[Any]) -> None:
    """Time FAISS alone, the sparse index alone, and both heads' candidates together."""
    import faiss

    from mining.hybrid import Depths, _Search

    assert index.dense.pieces is not None
    alone = faiss.read_index(index.dense.pieces.files[0])
    shared = faiss.read_index(index.dense.pieces.files[0], faiss.IO_FLAG_MMAP_IFC)
    flat = faiss.IndexFlatIP(index.vectors.width)
    flat.add(index.vectors.block(0, len(index)))
    timed("FAISS Flat fp32 alone, 1000", queries, lambda q: flat.search(q.dense.numpy(), _DEPTH))
    name = f"FAISS {index.dense.factory} alone, 1000"
    memory_ms = timed(
        f"{name}, in memory", queries, lambda q: alone.search(q.dense.numpy(), _DEPTH)
    )
    mapped_ms = timed(f"{name}, mapped", queries, lambda q: shared.search(q.dense.numpy(), _DEPTH))
    name = "sparse index alone, 1000"
    sparse_ms = timed(name, queries, lambda q: index.sparse.search(Csr.of(q), _DEPTH))

    def both(query: Any) -> Any:
        search = _Search(index, query, Depths(), None)
        return np.union1d(search.dense_best(_DEPTH)[0], search.sparse_best(_DEPTH)[0])

    both_ms = timed("hybrid before re-ranking, 1000 + 1000", queries, both)
    told(
        "hybrid / (FAISS + sparse)",
        mapped=both_ms / (mapped_ms + sparse_ms),
        in_memory=both_ms / (memory_ms + sparse_ms),
    )


def bm25(index: HybridIndex, texts: Sequence[str]) -> None:
    """Time bm25s and our BM25 on the same passages and words."""
    import bm25s
    from Stemmer import Stemmer

    from mining.analysis import analyser
    from mining.bm25 import Bm25Index

    passages = [text for part in index.parts for text in part._texts["text"].to_pylist()]
    before, started = resident(), time.process_time()
    stemmer = Stemmer("english")
    peer = bm25s.BM25(method="lucene", k1=0.9, b=0.4, backend="numpy")
    tokens = bm25s.tokenize(passages, stopwords="en", stemmer=stemmer, show_progress=False)
    peer.index(tokens, show_progress=False)
    del tokens
    told("build bm25s", cpu_s=time.process_time() - started, resident_mb=resident() - before)
    asked = [
        bm25s.tokenize([t], stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False)
        for t in texts
    ]
    timed(
        "bm25s alone (numpy), 1000",
        asked,
        lambda q: peer.retrieve(q, k=_DEPTH, show_progress=False, n_threads=1),
    )
    before, started = resident(), time.process_time()
    own = Bm25Index.build(passages, analyser("en"))
    told("build Bm25Index", cpu_s=time.process_time() - started, resident_mb=resident() - before)
    timed("Bm25Index alone, 1000", [[t] for t in texts], lambda q: own.search(q, _DEPTH))


def timed(name: str, queries: Sequence[Any], run: Callable[[Any], Any]) -> float:
    """Print wall and CPU time of a query; return the mean CPU time in ms."""
    for query in queries[:_WARM]:
        run(query)
    walls = []
    cpu = time.process_time()
    for query in queries:
        started = time.perf_counter()
        run(query)
        walls.append((time.perf_counter() - started) * 1000)
    cpu = (time.process_time() - cpu) * 1000 / len(queries)
    median, late = np.percentile(walls, [50, 95]).tolist()
    told(name, median_ms=median, p95_ms=late, cpu_ms=cpu, per_second=1000 / np.mean(walls))
    return cpu


def sizes(work: str) -> None:
    found: dict[str, float] = {}
    for path in Path(work).rglob("*"):
        if path.is_file():
            kind = path.parent.name if path.parent.name in ("sparse", "dense") else path.name
            kind = "vectors" if kind == "vectors.npy" else kind
            found[kind] = found.get(kind, 0.0) + path.stat().st_size / 1e6
    told("size on disk, MB", **found)


def resident() -> float:
    return status("RssAnon")


def mapped() -> float:
    return status("RssFile")


def status(key: str) -> float:
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{key}:\s+(\d+)", text)[1]) / 1000  # type: ignore[index]


def told(name: str, **values: float) -> None:
    rounded = {key: float(f"{value:.4g}") for key, value in values.items()}
    print(json.dumps({"what": name} | rounded), flush=True)


if __name__ == "__main__":
    command, *given = sys.argv[1:]
    if command == "grow":
        grow(given[0], given[1], int((given[2:] or ["100000"])[0]), (given[3:] or ["SQfp16"])[0])
    else:
        measure(*given)
