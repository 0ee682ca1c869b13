"""Peak memory of the sparse head in training: ours and the (b, L, V) form of the reference.

    PYTHONPATH=. .venv/bin/python -m benchmarks.sparse_head

Each measurement is a process of its own that computes the scores of queries and passages and
their gradients. The peak is of the bytes that torch's CPU allocator has given out, from the
profiler: ours is too small to show in the resident memory of a process.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time

import torch
from torch import Tensor

from train.scoring import Embeddings, sparse_scores

VOCABULARY = 250_002  # XLM-R's
SPECIAL = (0, 1, 2, 3)
# (texts, tokens of each) of queries and passages
SIZES = {
    "2 queries of 32, 4 passages of 128 tokens": ((2, 32), (4, 128)),
    "2 queries of 64, 2 passages of 256 tokens": ((2, 64), (2, 256)),
    "1 query of 64, 1 passage of 768 tokens": ((1, 64), (1, 768)),
    "48 queries of 64, 384 passages of 512 tokens": ((48, 64), (384, 512)),
    "8 queries of 512, 64 passages of 8,192 tokens": ((8, 512), (64, 8192)),
}
FITS = list(SIZES)[:3]  # of the reference's form within 2 GB


def ours(queries: tuple[Tensor, Tensor], passages: tuple[Tensor, Tensor]) -> Tensor:
    """Return the scores by this program."""
    return sparse_scores(*(_embeddings(*side) for side in (queries, passages)))


def _embeddings(weights: Tensor, ids: Tensor) -> Embeddings:
    nothing = weights.new_zeros(len(ids), 1)
    return Embeddings(nothing, weights, nothing[..., None], ids, ids > 0)


def theirs(queries: tuple[Tensor, Tensor], passages: tuple[Tensor, Tensor]) -> Tensor:
    """Return the scores from a vocabulary-sized row per token, as the reference trains."""
    rows = []
    for weights, ids in (queries, passages):
        spread = weights.new_zeros(*ids.shape, VOCABULARY)
        spread = spread.scatter(-1, ids[..., None], weights[..., None])
        largest = spread.max(dim=1).values
        del spread
        keep = torch.ones(VOCABULARY)
        keep[list(SPECIAL)] = 0
        rows.append(largest * keep)
    return rows[0] @ rows[1].T


FORMS = {"ours": ours, "theirs": theirs}


def measure(form: str, size: str) -> None:
    """Print peak bytes, seconds, and the sums of scores and gradients."""
    torch.set_num_threads(1)
    sides = [_texts(count, length) for count, length in SIZES[size]]
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        started = time.perf_counter()
        total, gradient = _step(form, sides)
        seconds = time.perf_counter() - started
    events = profile.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    print(max(itertools.accumulate(n for _, n in changes)), seconds, total, gradient)


def _texts(count: int, length: int) -> tuple[Tensor, Tensor]:
    """Return weights (leaves) and ids of which some repeat."""
    generator = torch.Generator().manual_seed(count * 10_007 + length)
    common = torch.randint(4, 4 + length // 2, (count, length), generator=generator)
    ids = torch.randint(4, VOCABULARY, (count, length), generator=generator)
    ids = torch.where(torch.rand(count, length, generator=generator) < 0.5, common, ids)
    weights = torch.rand(count, length, generator=generator)
    return weights.requires_grad_(), ids


def _step(form: str, sides: list[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    scores = FORMS[form](*sides)
    torch.logsumexp(scores / 0.02, dim=1).sum().backward()
    gradients = [weights.grad for weights, _ in sides if weights.grad is not None]
    return float(scores.sum()), float(sum(g.double().abs().sum() for g in gradients))


def _in_own_process(form: str, size: str) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.sparse_head", form, size]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    """Measure all sizes and print a table."""
    print("| texts | reference form MB, s | ours MB, s | ratio |\n|---|---|---|---|")
    for size, sides in SIZES.items():
        mine = _in_own_process("ours", size)
        passages, length = sides[1]
        if size in FITS:
            other = _in_own_process("theirs", size)
            for value, expected in zip(mine[2:], other[2:], strict=True):
                assert abs(value - expected) <= 1e-5 * abs(expected), (value, expected)
            text, peak = f"{other[0] / 1e6:,.0f}, {other[1]:.2f}", other[0]
        else:
            peak = 2.0 * passages * length * VOCABULARY * 4  # what the others' peaks are, to 1 %
            text = f"({peak / 1e6:,.0f} by 2·b·L·V·4)"
        print(
            f"| {size} | {text} | {mine[0] / 1e6:,.2f}, {mine[1]:.3f} | 1/{peak / mine[0]:,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    measure(*sys.argv[1:]) if sys.argv[1:] else main()
