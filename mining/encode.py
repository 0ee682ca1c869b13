"""Texts → vectors, in batches of near-equal length, in the fastest exact-enough precision."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from train.batching import token_batches
from train.model import M3Model
from train.precision import autocast
from train.scoring import Embeddings

Vectors = npt.NDArray[np.float32]
Report = Callable[[int, int], None]
"""Called with (texts done, tokens done)."""

_PROBE_TEXTS = ("A short text to see which precision is faster on this machine. " * 8,) * 8
_PROBES = 3
_MIN_COSINE = 0.999  # bf16 measured 0.99993 at worst; less means the model does not bear it
# Texts sorted by length together, and their characters: bounds memory for any number and length
_WINDOW = 4096
_WINDOW_CHARACTERS = 1 << 23


def best_device() -> torch.device:
    """Return the accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def probe_dtype(model: M3Model) -> tuple[str, str]:
    """Return (bf16 or fp32, why): bf16 only where it is faster and agrees, measured on a batch.

    CPUs without bf16 instructions run it up to 100 times slower than fp32. The fastest of
    `_PROBES` runs counts, so that other work on the machine does not decide.
    """
    timings, dense = dict.fromkeys(("fp32", "bf16"), math.inf), {}
    ids, mask = model.pad(model.tokenize(_PROBE_TEXTS, is_query=False))
    for dtype in [*timings] * _PROBES:
        with torch.inference_mode(), autocast(model.device, dtype):
            model(ids[:1, :16], mask[:1, :16])
            started = time.perf_counter()
            dense[dtype] = model(ids, mask).dense.float()
            timings[dtype] = min(timings[dtype], time.perf_counter() - started)
    cosine = float((dense["fp32"] * dense["bf16"]).sum(-1).min())
    ratio = timings["fp32"] / timings["bf16"]
    chosen = "bf16" if ratio > 1.1 and cosine > _MIN_COSINE else "fp32"
    return chosen, f"bf16 runs at {ratio:.2f}x of fp32's speed, cosine {cosine:.5f}"


def encode_batches(
    model: M3Model,
    texts: Sequence[str],
    *,
    is_query: bool,
    budget: int,
    dtype: str,
    report: Report | None = None,
    multi_vector: bool = True,
) -> Iterator[tuple[npt.NDArray[np.int64], Embeddings]]:
    """Yield (indices into `texts`, their embeddings); `budget` is tokens per batch with padding.

    Without `multi_vector` the token vectors are not computed and have no width.
    """
    done = tokens = 0
    for start, end in _windows(texts):
        rows = model.tokenize(texts[start:end], is_query=is_query)
        lengths = [len(row) for row in rows]
        for group in token_batches(lengths, budget):
            ids, mask = model.pad([rows[i] for i in group.tolist()])
            with torch.inference_mode(), autocast(model.device, dtype):
                embeddings = model(ids, mask, multi_vector=multi_vector)
            yield group + start, embeddings
            done += len(group)
            tokens += sum(lengths[i] for i in group.tolist())
            if report:
                report(done, tokens)


def _windows(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where windows of texts begin and end; a longer text than one is one alone."""
    start = characters = 0
    for end, text in enumerate(texts):
        characters += len(text)
        if end > start and (end - start == _WINDOW or characters > _WINDOW_CHARACTERS):
            yield start, end
            start, characters = end, len(text)
    if start < len(texts):
        yield start, len(texts)


def encode_dense(
    model: M3Model,
    texts: Sequence[str],
    *,
    is_query: bool,
    budget: int,
    dtype: str,
    report: Report | None = None,
) -> Vectors:
    """Return the (N, d) fp32 dense vectors of texts."""
    width = int(model.encoder.config.hidden_size)
    vectors = np.empty((len(texts), width), np.float32)
    batches = encode_batches(
        model,
        texts,
        is_query=is_query,
        budget=budget,
        dtype=dtype,
        report=report,
        multi_vector=False,
    )
    for indices, embeddings in batches:
        vectors[indices] = embeddings.dense.float().cpu().numpy()
    return vectors
