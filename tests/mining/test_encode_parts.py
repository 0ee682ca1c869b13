"""Vectors on disk: encoded once, resumed, rebuilt where damaged, never another model's."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation.errors import ConfigError
from mining.cache import model_facts
from mining.csr import Csr, concatenate
from mining.encode import encode_batches, encode_dense
from mining.encode_config import EncodeConfig
from mining.encode_parts import Encoded, PartEncoder, encode_chosen
from mining.text_parts import ListedTexts
from tests.builders import TOPICS, articles
from train import launch
from train.checkpoint import load
from train.config import ModelConfig
from train.model import M3Model

torch.set_num_threads(1)

TEXTS = [*(row["text"] for row in articles("es", 6)), "mar", "", "el faro", *TOPICS.values()]
MODEL = ModelConfig(max_query_tokens=16, max_passage_tokens=64, passage_prompt="p: ")
LATE = 4  # a batch of the second part or a later one
CONFIG = EncodeConfig(dtype="fp32", store="fp32", part_texts=4, batch_tokens=128, device="cpu")


@pytest.fixture(scope="module")
def model(tiny_encoder: str) -> M3Model:
    return load(tiny_encoder, MODEL)


class Run:
    """Encodes into one folder and counts what the encoder is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.tokens = 0

    def __call__(
        self,
        model: M3Model,
        texts: list[str] = TEXTS,
        config: EncodeConfig = CONFIG,
        *,
        is_query: bool = False,
        heads: tuple[str, ...] = ("dense",),
    ) -> Encoded:
        self.said.clear()
        self.tokens = 0
        encoder = PartEncoder.of(model, config, str(self.folder), self.said.append)

        def report(_: int, tokens: int) -> None:
            self.tokens = tokens

        parts = ListedTexts(texts, config.part_texts)
        return encoder.encode(parts, is_query=is_query, heads=heads, report=report)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "vectors")


@contextmanager
def hooked(model: M3Model, hook: Callable[..., None]) -> Iterator[None]:
    handle = model.encoder.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def direct(model: M3Model, *, is_query: bool = False) -> np.ndarray:
    return encode_dense(model, TEXTS, is_query=is_query, budget=128, dtype="fp32")


@pytest.mark.parametrize("is_query", [False, True], ids=["passages", "queries"])
@pytest.mark.parametrize(("part", "budget"), [(1, 64), (5, 4096), (100, 200)])
def test_parts_and_batches_do_not_change_vectors(
    model: M3Model, run: Run, part: int, budget: int, is_query: bool
) -> None:
    """To 1e-5: padding moves last bits."""
    config = replace(CONFIG, part_texts=part, batch_tokens=budget)
    found = run(model, config=config, is_query=is_query).dense
    np.testing.assert_allclose(found[:], direct(model, is_query=is_query), atol=1e-5)
    assert len(found.parts) == -(-len(TEXTS) // part)


def test_sparse_vectors_are_those_of_the_model(model: M3Model, run: Run) -> None:
    """Every token once a text with its largest weight, in parts that are mapped."""
    found = run(model, heads=("dense", "sparse"))
    joined = concatenate(found.sparse_part(number) for number in range(len(found.sparse)))
    assert len(joined) == len(TEXTS)
    for number, text in enumerate(TEXTS):
        ((_, alone),) = encode_batches(model, [text], is_query=False, budget=99, dtype="fp32")
        expected, row = Csr.of(alone), joined.rows(number, number + 1)
        assert row.tokens.tolist() == expected.tokens.tolist()
        np.testing.assert_allclose(row.weights, expected.weights, atol=1e-5)


def test_fp16_halves_what_is_stored(model: M3Model, run: Run) -> None:
    found = run(model, config=replace(CONFIG, store="fp16")).dense
    assert np.load(str(found.parts[0])).dtype == np.float16
    np.testing.assert_allclose(found[:], direct(model), atol=5e-4)


def test_what_is_kept_is_not_encoded_again(model: M3Model, run: Run) -> None:
    """The same bits; a head that is missing is added; changed texts cost their part alone."""
    first = run(model).dense[:]
    whole = run.tokens
    assert np.array_equal(run(model).dense[:], first)
    assert (run.tokens, [line for line in run.said if "vectors" in line]) == (0, [])
    run(model, heads=("dense", "sparse"))
    assert run.tokens == whole
    assert run(model, heads=("dense", "sparse")).dense.parts == run(model).dense.parts
    assert run.tokens == 0
    run(model, [*TEXTS, "uno más"])
    assert 0 < run.tokens < whole / 2


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def damage_flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_truncate, damage_flip, damage_empty])
@pytest.mark.parametrize("what", ["dense", "sparse.tokens", "sparse.indptr"])
def test_a_damaged_part_is_made_again_and_told(
    model: M3Model, run: Run, damage: Callable[[Path], None], what: str
) -> None:
    """That part alone, with the bits it had."""
    heads = ("dense", "sparse")
    run(model, heads=heads)
    whole = run.tokens
    path = sorted(run.folder.glob(f"*/*.{what}.npy"))[1]
    before = path.read_bytes()
    damage(path)
    run(model, heads=heads)
    assert path.read_bytes() == before
    assert 0 < run.tokens < whole
    assert [line for line in run.said if line.startswith(f"{path} is damaged; it is made again")]


def test_a_missing_part_is_made_again(model: M3Model, run: Run) -> None:
    found = run(model).dense
    before = Path(str(found.parts[2])).read_bytes()
    Path(str(found.parts[2])).unlink()
    run(model)
    assert Path(str(found.parts[2])).read_bytes() == before


def test_a_killed_run_goes_on(model: M3Model, run: Run) -> None:
    """Stopped between parts, it keeps what is done and leaves no half file under a name."""
    whole = Run(run.folder.parent / "whole")(model).dense[:]
    calls = 0

    def stop(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == LATE:
            raise KeyboardInterrupt

    with hooked(model, stop), pytest.raises(KeyboardInterrupt):
        run(model)
    kept = len(list(run.folder.glob("*/*.dense.npy")))
    assert 0 < kept < 5
    assert np.array_equal(run(model).dense[:], whole)
    assert run.tokens < sum(map(len, model.tokenize(TEXTS, is_query=False)))


def changed_weights(folder: Path) -> None:
    model = load(str(folder), MODEL)
    with torch.no_grad():
        model.encoder.encoder.layer[0].output.dense.bias[0] += 1.0
    model.encoder.save_pretrained(folder)


def changed_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    rules = json.loads(path.read_text())
    pieces = rules["model"]["vocab"]
    names = [name for name, _ in pieces[5:]]
    pieces[5:] = [[name, score] for name, (_, score) in zip(names[::-1], pieces[5:], strict=True)]
    path.write_text(json.dumps(rules))


def changed_heads(folder: Path) -> None:
    """Let as many weights be read as half as many heads: nothing is missing, all is different."""
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"num_attention_heads": 2}))


@pytest.mark.parametrize(
    ("change", "told"),
    [(changed_weights, "weights"), (changed_tokenizer, "tokenizer"), (changed_heads, "encoder")],
)
def test_a_changed_model_in_the_same_folder_is_another_model(
    tiny_encoder: str, run: Run, tmp_path: Path, change: Callable[[Path], None], told: str
) -> None:
    """Its vectors are its own, and what changed is told. A cache by name would serve old ones."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_encoder, folder)
    old = run(load(str(folder), MODEL)).dense[:]
    change(folder)
    model = load(str(folder), MODEL)
    new = run(model).dense[:]
    assert f"no vectors of this model in {run.folder}: {told} changed" in run.said
    np.testing.assert_allclose(new, direct(model), atol=1e-5)
    assert np.abs(new - old).max() > 1e-3
    shutil.rmtree(folder)
    shutil.copytree(tiny_encoder, folder)
    assert np.array_equal(run(load(str(folder), MODEL)).dense[:], old)
    assert run.tokens == 0


@pytest.mark.parametrize(
    "option",
    [
        {"pooling": "mean"},
        {"passage_prompt": "q: "},
        {"max_passage_tokens": 20},
        {"mcls_tokens": 8},
    ],
    ids=str,
)
def test_every_option_that_changes_vectors_is_part_of_the_key(
    tiny_encoder: str, run: Run, option: dict[str, Any]
) -> None:
    old = run(load(tiny_encoder, MODEL)).dense[:]
    model = load(tiny_encoder, replace(MODEL, **option))
    new = run(model).dense[:]
    np.testing.assert_allclose(new, direct(model), atol=1e-5)
    assert np.abs(new - old).max() > 1e-3
    assert run.tokens > 0


@pytest.mark.parametrize("option", [{"dtype": "bf16"}, {"store": "fp16"}], ids=str)
def test_precisions_do_not_share_vectors(model: M3Model, run: Run, option: dict[str, Any]) -> None:
    run(model)
    run(model, config=replace(CONFIG, **option))
    assert run.tokens > 0
    assert len(list(run.folder.glob("*/model.json"))) == 2


def test_the_last_call_of_a_tokenizer_is_no_part_of_the_key(model: M3Model) -> None:
    """It leaves its cut in the tokenizer; the same model must be the same key before and after."""
    fresh = copy.deepcopy(model)
    before = model_facts(fresh)
    fresh.tokenize(["uno dos tres"], is_query=True)
    assert model_facts(fresh) == before


def test_the_precision_that_was_probed_stays(model: M3Model, run: Run) -> None:
    """Beside other work the other one may seem faster, and all would be encoded anew."""
    config = replace(CONFIG, dtype="auto")
    run(model, config=config)
    (path,) = run.folder.glob("precision-cpu-*.json")
    probed = json.loads(path.read_text())["dtype"]
    other = "fp32" if probed == "bf16" else "bf16"
    path.write_text(json.dumps({"dtype": other, "why": ""}))
    run(model, config=config)
    queries = ", queries in fp32" if other == "bf16" else ""
    assert run.said[0] == f"encoding in {other}{queries} on cpu (as found before: {path})"


def test_queries_are_encoded_in_fp32(model: M3Model, run: Run) -> None:
    """Unless they are to take the precision of passages; these are in bf16 either way."""
    bf16 = PartEncoder.of(model, replace(CONFIG, dtype="bf16"), str(run.folder), run.said.append)
    assert (bf16.dtype_of(is_query=True), bf16.dtype_of(is_query=False)) == ("fp32", "bf16")
    options = replace(CONFIG, dtype="bf16", query_dtype="same")
    same = PartEncoder.of(model, options, str(run.folder), run.said.append)
    assert same.dtype_of(is_query=True) == "bf16"
    assert run.said[0].startswith("encoding in bf16, queries in fp32 on ")
    assert run.said[1].startswith("encoding in bf16 on ")


@pytest.mark.parametrize("device", ["cuda:9", "mps", "gpu"])
def test_a_device_that_is_not_there_is_refused(model: M3Model, run: Run, device: str) -> None:
    """By the option's name, with those there are."""
    with pytest.raises(ConfigError, match=rf"mining\.encode\.device = '{device}'.*has: cpu"):
        run(model, config=replace(CONFIG, device=device))


def test_a_device_that_fails_is_told_and_what_is_done_stays(model: M3Model, run: Run) -> None:
    """The fourth batch fails, as a GPU does that is lost."""
    calls = 0

    def fail(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == LATE:
            raise RuntimeError("CUDA error: device-side assert triggered")

    message = r"mining\.encode\.device = 'cpu': cpu failed .*CUDA"
    with hooked(model, fail), pytest.raises(ConfigError, match=message):
        run(model)
    assert len(list(run.folder.glob("*/*.dense.npy"))) > 0


def test_too_large_batches_name_their_option(model: M3Model, run: Run) -> None:
    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    message = r"mining\.encode\.batch_tokens = 128 is more than"
    with hooked(model, fail), pytest.raises(ConfigError, match=message):
        run(model)


def test_vectors_that_are_no_numbers_are_refused(model: M3Model, run: Run) -> None:
    """Instead of being found by every query, or by none."""
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.encoder.encoder.layer[1].output.dense.weight.fill_(float("nan"))
    with pytest.raises(ConfigError, match=r"vectors with no numbers in fp32; set mining\.encode"):
        run(broken)
    assert list(run.folder.glob("*/*.npy")) == []


def test_chosen_texts_have_all_heads(model: M3Model, run: Run) -> None:
    """In their order, each as it is alone."""
    encoder = PartEncoder.of(model, CONFIG, str(run.folder), run.said.append)
    found = encode_chosen(encoder, TEXTS[3:8], is_query=False)
    for item, text in zip(found, TEXTS[3:8], strict=True):
        ((_, alone),) = encode_batches(model, [text], is_query=False, budget=99, dtype="fp32")
        assert torch.equal(item.ids, alone.ids)
        torch.testing.assert_close(item.dense, alone.dense, atol=1e-5, rtol=0)
        torch.testing.assert_close(item.weights, alone.weights, atol=1e-5, rtol=0)
        torch.testing.assert_close(item.vectors.float(), alone.vectors, atol=1e-3, rtol=0)


def encode_as_rank(rank: int, encoder: str, folder: Path, port: int) -> None:
    """Encode as one process of two."""
    os.environ.update(WORLD_SIZE="2", RANK=str(rank), LOCAL_RANK=str(rank), MASTER_ADDR="localhost")
    os.environ["MASTER_PORT"] = str(port)
    torch.set_num_threads(1)
    with launch.processes():
        run = Run(folder / "vectors")
        found = run(load(encoder, MODEL), heads=("dense", "sparse"))
        report = {"parts": [str(part) for part in found.dense.parts], "tokens": run.tokens}
        (folder / f"{rank}.json").write_text(json.dumps(report))


def test_two_processes_encode_as_one(model: M3Model, tiny_encoder: str, run: Run) -> None:
    """Bit for bit, each its own parts, and both see all."""
    whole = run(model, heads=("dense", "sparse"))
    tokens = run.tokens
    folder = run.folder.parent / "two"
    folder.mkdir()
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.mining.test_encode_parts"])
    children = [
        context.Process(target=encode_as_rank, args=(rank, tiny_encoder, folder, port))
        for rank in range(2)
    ]
    try:
        for child in children:
            child.start()
        for child in children:
            child.join(240)
        assert [child.exitcode for child in children] == [0, 0]
    finally:
        for child in children:
            child.kill()
            child.join()
    told = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    assert told[0]["parts"] == told[1]["parts"]
    assert sum(each["tokens"] for each in told) == tokens
    assert min(each["tokens"] for each in told) > 0
    files = sorted(p.relative_to(run.folder) for p in run.folder.rglob("*.npy"))
    assert files == sorted(
        p.relative_to(folder / "vectors") for p in (folder / "vectors").rglob("*.npy")
    )
    for name in files:
        assert (run.folder / name).read_bytes() == (folder / "vectors" / name).read_bytes()
    assert len(whole.dense) == len(TEXTS)
