"""A dense index on disk: one folder with its vectors, which are mapped and not read.

FOLDER/index.json            what it is, and the size of each file
FOLDER/vectors-00000.npy …   (n, d) fp16 or fp32
FOLDER/piece-00000.faiss …   none for exact search
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from curation import storage
from curation.errors import InputError
from mining.index import DenseIndex, Recall
from mining.index_auto import EXACT
from mining.index_config import IndexConfig
from mining.index_faiss import Effort, Pieces
from mining.index_kernels import uses_faiss_gpus
from mining.shards import Part, Shards
from train import folders

_FORMAT = 1
_FILE = "index.json"


def save_index(index: DenseIndex, folder: str) -> None:
    """Write an index to a folder that appears whole or not at all.

    Files that lie on the same disk already are linked, not copied.
    """
    with folders.replacing(folder) as staging:
        vectors = [f"vectors-{number:05d}.npy" for number in range(len(index.vectors.parts))]
        for name, part in zip(vectors, index.vectors.parts, strict=True):
            _place(part, staging / name)
        pieces = index.pieces.files if index.pieces else []
        named = [f"piece-{number:05d}.faiss" for number in range(len(pieces))]
        for name, piece in zip(named, pieces, strict=True):
            _place(piece, staging / name)
        described = {
            "format": _FORMAT,
            "factory": index.factory,
            "width": index.vectors.width,
            "vectors": vectors,
            "pieces": named,
            "starts": index.pieces.starts if index.pieces else [],
            "effort": asdict(index.effort),
            "recall": asdict(index.recall) if index.recall else None,
            "bytes": {name: (staging / name).stat().st_size for name in (*vectors, *named)},
        }
        storage.write_json(str(staging / _FILE), described)


def open_index(folder: str, config: IndexConfig | None = None) -> DenseIndex:
    """Return the index of a folder; `config` gives memory and device, the folder all else.

    Raises `InputError` for a folder that holds no index or not all of it.
    """
    folders.recover(folder)
    described = _description(Path(folder))
    config = config or IndexConfig()
    vectors = Shards([f"{folder}/{name}" for name in described["vectors"]], described["width"])
    index = DenseIndex(vectors, config, described["factory"])
    if described["factory"] != EXACT:
        files = [f"{folder}/{name}" for name in described["pieces"]]
        gpus = uses_faiss_gpus(config.device)
        index.pieces = Pieces(files, described["starts"], config.memory_mb, gpus)
        index.effort = Effort(**described["effort"])
        index.recall = Recall(**described["recall"])
    return index


def _description(folder: Path) -> dict[str, Any]:
    try:
        described: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no dense index: {_FILE} cannot be read") from error
    if described.get("format") != _FORMAT:
        raise InputError(
            f"{folder} holds an index of format {described.get('format')}, this is format "
            f"{_FORMAT}: build it again"
        )
    for name, size in described["bytes"].items():
        path = folder / name
        if not path.exists() or path.stat().st_size != size:
            raise InputError(f"{path} is missing or cut: build the index again")
    return described


def _place(source: Part, target: Path) -> None:
    if not isinstance(source, str):
        with target.open("wb") as handle:
            np.lib.format.write_array(handle, np.ascontiguousarray(source), allow_pickle=False)
        return
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
