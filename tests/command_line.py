"""Running commands: here, or in a process of their own that can be killed at a given write."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pyarrow.parquet as pq

_PRELOADED = ["pipelines.curate", "pipelines.synth", "pipelines.runner", "pipelines.training"]


@dataclass(frozen=True)
class Result:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Result:
    """Run a command in this process."""
    from pipelines.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Result(code, out.getvalue(), err.getvalue())


def run_until(file: str, *arguments: object, complete: bool = True) -> int:
    """Run a command in its own process, killed (-9) when a path with `file` in it is written.

    With `complete` the file has its final name by then, else it is a temporary one. Returns the
    exit code: -9 when it was killed.
    """
    process = start(*arguments, file=file, complete=complete)
    process.join(120)
    assert process.exitcode is not None, "the command neither ended nor was killed"
    return process.exitcode


def start(*arguments: object, file: str = "", complete: bool = True) -> ForkServerProcess:
    """Start a command in its own process, which forks where all is imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    texts = [str(argument) for argument in arguments]
    process = context.Process(target=_run_and_die, args=(texts, file, complete))
    process.start()
    return process


def _run_and_die(arguments: list[str], file: str, complete: bool) -> None:
    replace = os.replace

    def deadly(source: str, target: str) -> None:
        if complete:
            replace(source, target)
        if file and file in str(target):
            os.kill(os.getpid(), signal.SIGKILL)
        if not complete:
            replace(source, target)

    os.replace = deadly  # type: ignore[assignment]
    with open(os.devnull, "w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        from pipelines.cli import main

        sys.exit(main(arguments))


def digests(*folders: Path) -> dict[str, str]:
    """Return the sha256 of every file under folders, by its path below the folder's parent."""
    return {
        str(path.relative_to(folder.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def parts_only(found: dict[str, str]) -> dict[str, str]:
    """Return the digests of the Parquet parts alone."""
    return {name: digest for name, digest in found.items() if name.endswith(".parquet")}


def leftovers(out: Path) -> list[str]:
    """Return what should not be there any more when a stage has ended."""
    names = (".work-", ".writing-", ".model-", ".model.old", "_STARTED")
    return sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.name.startswith(names))


def rows_without_times(folder: Path) -> list[dict[str, object]]:
    """Return the rows of a complete folder but for when they were answered, in their order."""
    names = [p["name"] for p in json.loads((folder / "manifest.json").read_text())["parts"]]
    rows = [row for name in names for row in pq.read_table(folder / name).to_pylist()]
    return [{k: v for k, v in row.items() if k != "created_at"} for row in rows]
