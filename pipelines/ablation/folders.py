"""A job's folder: links to what it reads, its config, and the mark that it is done."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

import tomli_w

from curation import manifest, storage
from pipelines.ablation.arms import Job
from pipelines.config import RunConfig, build, set_key
from pipelines.evaluation.sets import expand

CONFIG, LOG, DONE = "config.toml", "log.txt", "done.json"
_OWN = ("reports", CONFIG, LOG, DONE)
"""What is not linked into the folders of the jobs that follow."""


def prepare(job: Job) -> None:
    """Make a job's folder: its config and links to its inputs, relative, so that all can move."""
    os.makedirs(job.folder, exist_ok=True)
    for name in _outputs(job.needs) if job.needs else ():
        link = os.path.join(job.folder, name)
        target = os.path.relpath(os.path.realpath(os.path.join(job.needs, name)), job.folder)
        if os.path.islink(link) and os.readlink(link) != target:
            os.unlink(link)
        if not os.path.lexists(link):
            os.symlink(target, link)
    tables = copy.deepcopy(job.tables)
    if job.cache:
        set_key(tables, "mining.encode.cache", _own_cache(tables) or job.cache)
    storage.write_bytes(storage.join(job.folder, CONFIG), tomli_w.dumps(tables).encode())


def _own_cache(tables: Mapping[str, Any]) -> str:
    return build(RunConfig, dict(tables), "").mining.encode.cache


def _outputs(folder: str) -> list[str]:
    return sorted(n for n in os.listdir(folder) if not n.startswith(".") and n not in _OWN)


def state_of(job: Job) -> str:
    """Return what a job's result depends on: its config, what it reads, the evaluation sets."""
    read = []
    for name in _outputs(job.needs) if job.needs and os.path.isdir(job.needs) else ():
        listed = os.path.join(job.needs, name, manifest.MANIFEST)
        if os.path.exists(listed):
            read.append([name, manifest.content_digest(storage.read_json(listed))])
    return manifest.fingerprint([job.key, read, _sets(job.tables), manifest.versions()])


def _sets(tables: Mapping[str, Any]) -> list[Any]:
    config = build(RunConfig, dict(tables), "")
    sets = [one for wanted in config.evaluation.sets for one in expand(wanted)]
    folders = dict.fromkeys(path for one in sets for path in (one.path, one.corpus) if path)
    files = (path for folder in folders for path in _files(storage.local_path(folder)))
    return [storage.describe_file(path) for path in files]


def _files(path: str) -> list[str]:
    if storage.is_folder(path):
        return storage.files_under(path)
    return [path] if storage.exists(path) else []


def is_done(job: Job) -> bool:
    """Tell whether a job has finished, with the config and the inputs that it has now."""
    path = storage.join(job.folder, DONE)
    return storage.exists(path) and storage.read_json(path)["state"] == state_of(job)


def seconds_of(job: Job) -> float | None:
    """Return how long a job took when it last finished; None where it never did."""
    path = storage.join(job.folder, DONE)
    return float(storage.read_json(path)["seconds"]) if storage.exists(path) else None


def mark_done(job: Job, seconds: float) -> None:
    """Note that a job has finished."""
    done = {"state": state_of(job), "seconds": round(seconds, 1)}
    storage.write_json(storage.join(job.folder, DONE), done)
