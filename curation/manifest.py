"""The manifest of an output folder: what it holds, from what, and whether it is complete.

A folder is complete when `_SUCCESS` is there; it is written last. Nothing in a manifest
depends on the time or the machine, so equal runs give equal manifests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from curation import storage
from curation.errors import ConfigError, InputError
from curation.records import SCHEMA_VERSION

MANIFEST, SUCCESS, STARTED = "manifest.json", "_SUCCESS", "_STARTED"
_LIBRARIES = ("ftfy", "py3langid", "pyarrow", "pycld2", "resiliparse", "tokenizers", "torch")


def versions() -> dict[str, str]:
    """Return the versions of this program and of the libraries that decide what it writes."""
    found = {"threefold": _version("threefold"), "schema": str(SCHEMA_VERSION)}
    return found | {name: _version(name) for name in _LIBRARIES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "source"


def fingerprint(value: object) -> str:
    """Return 16 hexadecimal digits that change when any part of a JSON-like value does."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_complete(directory: str, wanted_fingerprint: str) -> bool:
    """Tell whether a folder is complete and was made from the same inputs and config."""
    if not storage.exists(storage.join(directory, SUCCESS)):
        return False
    manifest = storage.read_json(storage.join(directory, MANIFEST))
    return bool(manifest["fingerprint"] == wanted_fingerprint)


def begin(directory: str, wanted_fingerprint: str) -> None:
    """Make a folder ready for writing: keep what an interrupted equal run wrote, drop all else.

    Raises `ConfigError` for a folder with files that no stage wrote.
    """
    marker = storage.join(directory, STARTED)
    if storage.exists(marker) and storage.read_json(marker)["fingerprint"] == wanted_fingerprint:
        return
    _refuse_foreign(directory)
    storage.remove(storage.join(directory, SUCCESS))  # first: a kill must not leave it over less
    storage.remove(directory)
    storage.make_dirs(directory)
    storage.write_json(marker, {"fingerprint": wanted_fingerprint})


def _refuse_foreign(directory: str) -> None:
    names = [path.rsplit("/", 1)[-1] for path in storage.list_files(directory)]
    if {MANIFEST, SUCCESS, STARTED}.isdisjoint(names):
        foreign = [name for name in names if not name.startswith("part-")]
        if foreign:
            raise ConfigError(
                f"{directory} holds files that are not ours, as {foreign[0]!r}; they would be "
                "deleted: choose another `out`"
            )


def publish(
    directory: str, description: Mapping[str, Any], parts: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write the manifest of `parts` (name, rows, bytes, sha256 each), then `_SUCCESS`."""
    listed = sorted((dict(part) for part in parts), key=lambda part: str(part["name"]))
    manifest = {
        **description,
        "versions": versions(),
        "rows": sum(part["rows"] for part in listed),
        "bytes": sum(part["bytes"] for part in listed),
        "parts": listed,
    }
    storage.write_json(storage.join(directory, MANIFEST), manifest)
    storage.write_bytes(storage.join(directory, SUCCESS), b"")
    storage.remove(storage.join(directory, STARTED))
    return manifest


def read(directory: str, made_by: str) -> dict[str, Any]:
    """Return the manifest of a complete folder; `made_by` is the command that makes it."""
    if not storage.exists(storage.join(directory, SUCCESS)):
        raise InputError(f"{directory} is missing or incomplete; run: {made_by}")
    manifest: dict[str, Any] = storage.read_json(storage.join(directory, MANIFEST))
    return manifest


def content_digest(manifest: Mapping[str, Any]) -> str:
    """Return a digest of what a folder holds, whatever config it came from."""
    return fingerprint([[part["name"], part["sha256"]] for part in manifest["parts"]])


def part_paths(directory: str, manifest: Mapping[str, Any]) -> list[str]:
    """Return the paths of the parts in their order."""
    return [storage.join(directory, str(part["name"])) for part in manifest["parts"]]
