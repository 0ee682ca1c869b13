"""Saving over a checkpoint: whatever happens, one whole checkpoint is there."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curation.errors import OutputError
from train.checkpoint import load, save
from train.config import ModelConfig
from train.model import M3Model, weights_digest

torch.set_num_threads(1)

CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=256)


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    return load(tiny_encoder, CONFIG)


def test_saving_over_a_checkpoint_replaces_it(model: M3Model, tmp_path: Path) -> None:
    """Files of the earlier one are gone."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "stale.txt").write_text("old")
    save(model, str(tmp_path / "model"))
    assert not (tmp_path / "model" / "stale.txt").exists()
    assert weights_digest(load(str(tmp_path / "model"), CONFIG)) == weights_digest(model)


@pytest.mark.parametrize("kilobytes", [1, 20, 100])
def test_full_disk_leaves_the_old_checkpoint(
    tiny_encoder: str, model: M3Model, tmp_path: Path, kilobytes: int
) -> None:
    """Whichever file no longer fits: a clear error, nothing half-written, the old one loads."""
    folder, other = str(tmp_path / "model"), load(tiny_encoder, CONFIG, seed=7)
    save(model, folder)
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, allowed[1]))
    try:
        with pytest.raises(OutputError, match=f"{folder} cannot be written .*; an earlier one is"):
            save(other, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert os.listdir(tmp_path) == ["model"]
    assert weights_digest(load(folder, CONFIG)) == weights_digest(model)


def test_reader_between_the_renames_keeps_the_old_checkpoint(
    tiny_encoder: str, model: M3Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the writer for dead and brings the old one back; the writer fails, and can retry."""
    folder, other = str(tmp_path / "model"), load(tiny_encoder, CONFIG, seed=7)
    save(model, folder)
    rename = Path.rename

    def read_after(path: Path, target: Path) -> Path:
        done = rename(path, target)
        if target.name == ".model.old":
            monkeypatch.undo()
            assert weights_digest(load(folder, CONFIG)) == weights_digest(model)
        return done

    monkeypatch.setattr(Path, "rename", read_after)
    with pytest.raises(OutputError, match="cannot be written"):
        save(other, folder)
    assert os.listdir(tmp_path) == ["model"]
    assert weights_digest(load(folder, CONFIG)) == weights_digest(model)
    save(other, folder)
    assert weights_digest(load(folder, CONFIG)) == weights_digest(other)


DEATHS = ["saved files", "first rename", "second rename", "removal"]
_CHILD = """
import os, shutil, sys
from pathlib import Path
from typing import Any
from tests.train.test_saving import CONFIG, DEATHS, load, save
from train import folders

encoder, folder = sys.argv[1:]
models = [load(encoder, CONFIG, seed) for seed in (0, 1)]

def die(*_, **__):
    os.kill(os.getpid(), 9)

def rename(path, target):
    os.rename(path, target)
    if Path(target).name == places[death]:
        die()

places = {"first rename": ".model.old", "second rename": "model"}
for death in DEATHS:
    target = os.path.join(folder, death, "model")
    save(models[0], target)
    if os.fork():
        assert os.wait()[1] == 9
        continue
    if death == "saved files":
        folders._swap = die
    elif death == "removal":
        folders.shutil.rmtree = die
    else:
        Path.rename = rename
    save(models[1], target)
"""


@pytest.fixture(scope="module")
def killed(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders in which a process was killed while it replaced the checkpoint of seed 0."""
    folder = tmp_path_factory.mktemp("killed")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, tiny_encoder, str(folder)],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("death", DEATHS)
def test_kill_while_saving_leaves_one_whole_checkpoint(
    tiny_encoder: str, killed: Path, death: str
) -> None:
    """Before the second rename the old one is found, after it the new; saving goes on."""
    parent = killed / death
    seed = 0 if death in DEATHS[:2] else 1
    expected = weights_digest(load(tiny_encoder, CONFIG, seed))
    if death == "first rename":
        assert not (parent / "model").exists()
    assert weights_digest(load(str(parent / "model"), CONFIG)) == expected
    assert not (parent / ".model.old").exists()
    save(load(tiny_encoder, CONFIG, 2), str(parent / "model"))
    assert os.listdir(parent) == ["model"]
