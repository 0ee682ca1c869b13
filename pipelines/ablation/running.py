"""Jobs → processes: several at a time, finished ones passed over, the rest told as they end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field

from curation import storage
from curation.errors import TrainingError
from pipelines.ablation import folders
from pipelines.ablation.arms import Job, Plan
from pipelines.terminal import duration, say

_PATIENCE = 20.0  # seconds a stopped process gets to save what it has
_SHOWN = 5  # lines of a failed job's log


@dataclass(slots=True)
class Processes:
    """The processes that run now; none is left behind when the block ends."""

    jobs: int
    running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    stopped: bool = False

    def run(self, job: Job) -> float:
        """Run a job and return its seconds; raise `TrainingError` with the end of its log."""
        if self.stopped:
            raise TrainingError(f"{job.name}: not started")
        folders.prepare(job)
        path = storage.join(job.folder, folders.LOG)
        command = [sys.executable, "-m", "pipelines.ablation.job"]
        command += [storage.join(job.folder, folders.CONFIG), *job.steps]
        started = time.monotonic()
        with open(path, "wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdout=log, stderr=subprocess.STDOUT, env=_environment(self.jobs)
            )
            self.running.add(process)
            status = process.wait()
            self.running.discard(process)
        if status or self.stopped:
            raise TrainingError(f"{job.name} ended with {status}; see {path}\n{_end_of(path)}")
        return time.monotonic() - started

    def stop(self) -> None:
        """Ask the processes to end, and end those that do not."""
        self.stopped = True
        listed = list(self.running)
        for process in listed:
            process.terminate()
        limit = time.monotonic() + _PATIENCE
        for process in listed:
            try:
                process.wait(max(0.1, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


def _environment(jobs: int) -> dict[str, str]:
    """Return the environment with the cores shared among the jobs, unless it says how many."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    return {"OMP_NUM_THREADS": str(threads)} | os.environ


def _end_of(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as handle:
        lines = handle.read().replace("\r", "\n").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_SHOWN:])


@contextmanager
def processes(jobs: int) -> Iterator[Processes]:
    """Give what runs jobs; whatever ends the block ends them too."""
    running = Processes(jobs)
    try:
        yield running
    finally:
        running.stop()


def run_all(plan: Plan, jobs: int, *, keep_models: bool) -> None:
    """Run what is missing; raise `TrainingError` at the end where runs failed."""
    with processes(jobs) as running:
        for wave in (plan.data, plan.mined):
            _run_wave(wave, running)
        missing = [job for job in plan.runs.values() if not folders.is_done(job)]
        say(f"ablate: {len(plan.runs)} runs, {len(plan.runs) - len(missing)} of them done before")
        _run_wave(missing, running, marks=True, keep_models=keep_models)


def _run_wave(
    wave: Sequence[Job], running: Processes, *, marks: bool = False, keep_models: bool = True
) -> None:
    """Run jobs that do not depend on each other; of failed ones all others are still run."""
    failed: list[str] = []
    started = time.monotonic()
    with ThreadPoolExecutor(running.jobs) as pool:
        futures = {pool.submit(running.run, job): job for job in wave}
        try:
            for count, future in enumerate(as_completed(futures), 1):
                job = futures[future]
                if error := future.exception():
                    if not isinstance(error, TrainingError):
                        raise error
                    failed.append(str(error))
                    say(f"ablate: {error}", sys.stderr)
                    continue
                if marks:
                    folders.mark_done(job, future.result())
                    if not keep_models:
                        storage.remove(storage.join(job.folder, "model"))
                say(_told(job, future.result(), count, len(wave), time.monotonic() - started))
        except BaseException:
            running.stop()
            pool.shutdown(cancel_futures=True)
            raise
    if failed:
        raise TrainingError(f"{len(failed)} of {len(wave)} jobs failed: {failed[0]}")


def _told(job: Job, seconds: float, count: int, whole: int, elapsed: float) -> str:
    left = elapsed / count * (whole - count)
    rest = f", {whole - count} to go, ETA {duration(left)}" if whole > count else ""
    return f"ablate: {job.name} in {duration(seconds)} ({count} of {whole}{rest})"
