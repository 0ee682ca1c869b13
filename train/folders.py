"""Folders that are replaced whole: a reader finds the old one or the new one, never a part."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(folder: str) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` when the block ends well.

    All is on the disk before anything is renamed: the old folder aside, the new one in, then the
    old one goes. Whenever the process dies one complete folder is there, which `recover` finds. If
    the block fails, the old folder stays as it was.
    """
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    recover(folder)
    for stale in target.parent.glob(f".{target.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        yield staging
        staging.chmod(0o755)
        _flush(staging)
        _swap(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def recover(folder: str) -> None:
    """Bring a folder back whose replacement was killed between its two renames."""
    target, old = Path(folder), _aside(Path(folder))
    if not old.exists():
        return
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.rename(target)


def _aside(target: Path) -> Path:
    return target.parent / f".{target.name}.old"


def _swap(staging: Path, target: Path) -> None:
    old = _aside(target)
    if target.exists():
        target.rename(old)
    try:
        staging.rename(target)
    except OSError:  # also where a reader has just brought the old one back
        recover(str(target))
        raise
    flush_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Wait until all files of a folder are on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
    flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    with suppress(OSError):  # some network file systems open no folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
