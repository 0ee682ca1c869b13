"""Time and memory of a command with all the processes that it starts."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SECONDS = 0.2


@dataclass
class Usage:
    """What a command and its descendants took."""

    wall: float = 0.0
    output: str = ""
    code: int = 0
    peak_bytes: int = 0
    """Largest sum of resident memory over all processes at one moment; shared pages count twice."""
    peak_largest: int = 0
    """Largest resident memory of a single process."""
    _cpu: dict[int, float] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes."""
        return sum(self._cpu.values())


def measure(command: Sequence[str]) -> Usage:
    """Run a command to its end."""
    usage = Usage()
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        stop = threading.Event()
        sampler = threading.Thread(target=_sample_until, args=(stop, process.pid, usage))
        sampler.start()
        output, _ = process.communicate()
        stop.set()
        sampler.join()
    usage.wall = time.monotonic() - started
    usage.output, usage.code = output.decode("utf-8", "replace"), process.returncode
    return usage


def _sample_until(stop: threading.Event, root: int, usage: Usage) -> None:
    while not stop.wait(_SECONDS):
        _sample(root, usage)


def _sample(root: int, usage: Usage) -> None:
    sizes = []
    for pid in _descendants(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue  # it has just ended
        usage._cpu[pid] = (int(fields[11]) + int(fields[12])) / _TICK
        sizes.append(pages * _PAGE)
    usage.peak_bytes = max(usage.peak_bytes, sum(sizes))
    usage.peak_largest = max(usage.peak_largest, max(sizes, default=0))


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found
