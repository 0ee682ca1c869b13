"""Where the CPU time of a local run goes: this program's work, the runner, the start.

    python benchmarks/runner_share.py curate --config run.toml --out /tmp/out

runs a command in this process with one worker. A thread wakes every 5 ms, looks at what the
other threads do and books the CPU time since it last woke: to *work* where a function of the four
packages runs inside the runner, to the *runner* where only Beam's own code does, else to *start*
(imports, listing of files, building of the graph, report). The bytes that cross GroupByKeys are
counted too: divided by the documents they are what grows in memory.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

_SECONDS = 0.005
_IDLE = ("threading.py", "selectors.py", "queue.py", "thread.py", "_channel.py", "socket.py")
_PACKAGES = tuple(f"{ROOT}/{name}/" for name in ("curation", "train", "mining", "pipelines"))
_DRIVER = ("cli.py", "runner.py", "commands/")


def main() -> int:
    stop = threading.Event()
    booked: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    sampler = threading.Thread(target=sample, args=(stop, booked, functions), daemon=True)
    sampler.start()
    shuffled = count_shuffled()
    from pipelines.cli import main as run

    code = run(sys.argv[1:])
    stop.set()
    sampler.join()
    total = sum(booked.values())
    for name, seconds in booked.most_common():
        print(f"{name:8} {seconds:8.1f} CPU s  {seconds / total:6.1%}")
    running = booked["work"] + booked["runner"]
    print(f"runner's share of the time in the pipeline: {booked['runner'] / running:.1%}")
    print(f"bytes through GroupByKey, runner's own included: {sum(shuffled):,}")
    print("functions of ours by the CPU time below them:")
    for name, seconds in functions.most_common(25):
        print(f"  {seconds / total:6.1%}  {name}")
    return code


def count_shuffled() -> list[int]:
    """Have every buffer of encoded elements that a GroupByKey gathers add its size to a list."""
    from apache_beam.runners.portability.fn_api_runner import execution

    sizes: list[int] = []
    append = execution.GroupingBuffer.append

    def counted(self: Any, elements: bytes) -> None:
        sizes.append(len(elements))
        append(self, elements)

    execution.GroupingBuffer.append = counted
    return sizes


def sample(stop: threading.Event, booked: Counter[str], functions: Counter[str]) -> None:
    own, last = threading.get_ident(), time.process_time()
    while not stop.wait(_SECONDS):
        now = time.process_time()
        stacks = [s for t, f in sys._current_frames().items() if t != own and (s := stack_of(f))]
        kinds = [kind_of(stack) for stack in stacks]
        kind = next((k for k in ("work", "runner") if k in kinds), "start")
        booked[kind] += now - last
        if kind == "work":
            for name in {name for stack in stacks for name in ours(stack)}:
                functions[name] += now - last
        last = now


def stack_of(frame: FrameType | None) -> list[tuple[str, str]]:
    """Return (file, function) from the innermost frame out; [] for a thread that waits."""
    if frame is None or frame.f_code.co_filename.endswith(_IDLE):
        return []
    found = []
    while frame is not None:
        found.append((frame.f_code.co_filename, frame.f_code.co_name))
        frame = frame.f_back
    return found


def kind_of(stack: list[tuple[str, str]]) -> str:
    """Return work, runner or start for one thread's stack."""
    for file, name in stack:
        if "apache_beam" in file:
            return "runner" if name != "<module>" and in_run(stack) else "start"
        if file.startswith(_PACKAGES) and not any(d in file for d in _DRIVER) and in_run(stack):
            return "work"
    return "start"


def in_run(stack: list[tuple[str, str]]) -> bool:
    """Tell whether the thread executes a bundle, rather than building the graph or importing."""
    names = ("run_stages", "do_instruction", "_execute", "run_portable_pipeline")
    return any("apache_beam" in file and name in names for file, name in stack)


def ours(stack: list[tuple[str, str]]) -> list[str]:
    return [
        f"{file.removeprefix(f'{ROOT}/')}:{name}"
        for file, name in stack
        if file.startswith(_PACKAGES)
    ]


if __name__ == "__main__":
    sys.exit(main())
