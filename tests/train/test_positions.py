"""Positions for longer texts: tables of learned ones are repeated, computed ones reach further."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from curation.errors import ConfigError
from tests.builders import PARAGRAPH
from tests.families import FAMILIES, build_family
from train import positions
from train.checkpoint import check, load, save
from train.config import ModelConfig
from train.model import M3Model, weights_digest

torch.set_num_threads(1)

OLD, NEW = 24, 80
SHORT = ModelConfig(max_query_tokens=OLD, max_passage_tokens=OLD)
LONG = ModelConfig(max_query_tokens=OLD, max_passage_tokens=NEW, max_positions=NEW)
ROWS = {"xlm-roberta": 2, "bert": 0, "modernbert": 0}  # that no token uses


@pytest.fixture(scope="module", params=FAMILIES)
def family(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("positions") / request.param
    build_family(folder, request.param, [PARAGRAPH], OLD)
    return request.param, str(folder)


def dense(model: M3Model, text: str) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(*model.pad(model.tokenize([text], is_query=False))).dense
    return found


def test_limit_is_told_and_raised(family: tuple[str, str], tmp_path: Path) -> None:
    """The config, the tokenizer and a saved checkpoint follow; short texts keep their vectors."""
    name, folder = family
    short, long = load(folder, SHORT), load(folder, LONG)
    assert (positions.limit(short.encoder), positions.limit(long.encoder)) == (OLD, NEW)
    assert long.encoder.config.max_position_embeddings == NEW + ROWS[name]
    assert (short.tokenizer.model_max_length, long.tokenizer.model_max_length) == (OLD, NEW)
    assert torch.equal(dense(short, "The sea"), dense(long, "The sea"))
    rows = long.tokenize([PARAGRAPH * 3], is_query=False)
    assert len(rows[0]) == NEW
    assert torch.isfinite(dense(long, PARAGRAPH * 3)).all()

    save(long, str(tmp_path / "long"))
    saved = json.loads((tmp_path / "long" / "config.json").read_text())
    assert saved["max_position_embeddings"] == NEW + ROWS[name]
    for again in (LONG, replace(LONG, max_positions=0)):
        loaded = load(str(tmp_path / "long"), again, seed=4)
        assert weights_digest(loaded) == weights_digest(long)
        assert torch.equal(dense(loaded, PARAGRAPH * 3), dense(long, PARAGRAPH * 3))


def test_without_more_positions_long_texts_are_refused(family: tuple[str, str]) -> None:
    """The error names both ways out."""
    message = f"= {NEW} is beyond the encoder's {OLD} positions; .* model.max_positions = {NEW}"
    with pytest.raises(ConfigError, match=message):
        load(family[1], replace(LONG, max_positions=0))


def test_the_check_before_a_run_reads_no_weights(family: tuple[str, str], tmp_path: Path) -> None:
    """It knows the limits of each family from the config alone, and what load would refuse."""
    folder = tmp_path / "model"
    shutil.copytree(family[1], folder)
    (folder / "model.safetensors").unlink()
    check(str(folder), SHORT)
    check(str(folder), LONG)
    for config in (replace(LONG, max_positions=0), replace(SHORT, max_positions=20)):
        with pytest.raises(ConfigError, match=f"encoder('s {OLD} positions| has {OLD} already)"):
            check(str(folder), config)


def test_positions_are_not_taken_away(family: tuple[str, str]) -> None:
    """The weights would be lost without a word."""
    with pytest.raises(ConfigError, match=f"max_positions = 20, but the encoder has {OLD} already"):
        load(family[1], replace(SHORT, max_positions=20))


@pytest.mark.parametrize("name", ["xlm-roberta", "bert"])
def test_learned_positions_are_repeated(name: str, tmp_path: Path) -> None:
    """New position p is old position p mod n; the rows up to the pad id stay, and all train."""
    build_family(tmp_path / "model", name, [PARAGRAPH], OLD)
    reserved = ROWS[name]
    old = load(str(tmp_path / "model"), SHORT).encoder.embeddings.position_embeddings
    new = load(str(tmp_path / "model"), LONG).encoder.embeddings.position_embeddings
    assert new.weight.shape == (NEW + reserved, 32)
    assert new.padding_idx == old.padding_idx
    assert new.weight.requires_grad
    assert torch.equal(new.weight[:reserved], old.weight[:reserved])
    for p in range(NEW):
        assert torch.equal(new.weight[reserved + p], old.weight[reserved + p % OLD])
