"""What must hold before a job goes to machines that see none of this one's files.

Checked before anything is submitted or written: a job that fails on its first worker has cost
minutes and says less about the cause.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlparse

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)

from curation import storage
from curation.errors import ConfigError

_HERE_ONLY = ("file", "local", "memory")  # protocols of fsspec that end at this machine
_PATH_KEYS = ("path", "thresholds", "word_lists")
_GCP_PACKAGES = ("apitools", "google.cloud.storage", "google.cloud.dataflow", "gcsfs")


def is_dataflow(options: PipelineOptions) -> bool:
    """Tell whether the options name Dataflow's runner."""
    name = options.view_as(StandardOptions).runner or ""
    return name.rsplit(".", 1)[-1].lower() == "dataflowrunner"


def check_dataflow(options: PipelineOptions, out: str, settings: Any) -> None:
    """Raise `ConfigError` for what a Dataflow job of this config would fail on.

    `settings` are the tables of the config whose paths workers open (nested dicts and lists).
    With an endpoint on localhost, which submits nothing, any path will do.
    """
    _check_packages()
    view = options.view_as(GoogleCloudOptions)
    is_offline = urlparse(view.dataflow_endpoint or "").hostname == "localhost"
    _check_options(view, options.view_as(WorkerOptions).sdk_container_image, is_offline)
    if is_offline:
        return
    for option in ("temp_location", "staging_location"):
        value = getattr(view, option)
        if value and not value.startswith("gs://"):
            raise ConfigError(f"--{option}={value} must be a gs:// URL on Dataflow")
    if not out.startswith("gs://"):
        raise ConfigError(
            f"out = {out!r} lies on this machine; Dataflow's workers write to gs://BUCKET/FOLDER"
        )
    for key, value in local_paths(settings, ""):
        raise ConfigError(
            f"{key} = {value!r} lies on this machine, where Dataflow's workers cannot read it; "
            "copy it to a bucket and give its gs:// URL"
        )


def set_defaults(options: PipelineOptions) -> None:
    """Have a worker process work on one element at a time, unless the options say otherwise.

    Dataflow's default is 12 threads a process: 12 elements in memory at once, and one lock.
    """
    debug = options.view_as(DebugOptions)
    if debug.number_of_worker_harness_threads is None:
        debug.number_of_worker_harness_threads = 1


def _check_packages() -> None:
    missing = [name for name in _GCP_PACKAGES if not _is_installed(name)]
    if missing:
        raise ConfigError(
            f"--runner=DataflowRunner needs {missing[0]}, which is not installed; run: "
            "pip install -c constraints.txt '.[gcp]'"
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the parent package
        return False


def _check_options(view: GoogleCloudOptions, image: str | None, is_offline: bool) -> None:
    given = {
        "project": view.project,
        "region": view.region,
        "temp_location": view.temp_location,
        "sdk_container_image": image,
    }
    missing = [f"--{name}" for name, value in given.items() if not value]
    if missing:
        raise ConfigError(
            f"--runner=DataflowRunner needs {', '.join(missing)}; docs/dataflow.md has the whole "
            "command" + ("" if image else ", and how to build the image")
        )
    if "/" not in str(image) and not is_offline:
        raise ConfigError(
            f"--sdk_container_image={image} names no registry that workers could pull it from"
        )


def local_paths(settings: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield (key, value) of settings that name files of this machine."""
    if isinstance(settings, dict):
        for name, value in settings.items():
            if not _is_elsewhere(settings, name):
                yield from local_paths(value, f"{key}.{name}" if key else str(name))
    elif isinstance(settings, list | tuple):
        for number, value in enumerate(settings):
            yield from local_paths(value, f"{key}.{number}")
    elif isinstance(settings, str) and _is_local(settings, key):
        yield key, settings


def _is_elsewhere(table: dict[str, Any], name: str) -> bool:
    """Tell whether a setting is read by no worker: evaluation sets, names of hub data sets."""
    if name == "path" and table.get("kind") == "hf":
        return not os.path.exists(str(table[name]))
    return name == "decontamination"  # read where the job is built; workers get hashes


def _is_local(value: str, key: str) -> bool:
    if storage.is_url(value):
        return value.partition("://")[0] in _HERE_ONLY
    name = key.rpartition(".")[2]
    is_path = name in _PATH_KEYS or name.endswith("_path")
    return bool(value) and (is_path or value.startswith(storage.PACKAGE))
