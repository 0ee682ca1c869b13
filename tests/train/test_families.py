"""Encoders of the XLM-R, BERT and ModernBERT families, and those that are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize
from transformers import (
    AutoModel,
    AutoTokenizer,
    BartConfig,
    BartModel,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
)

from curation.errors import InputError
from tests.builders import TOPICS, articles
from tests.families import FAMILIES, build_family
from train.checkpoint import load, save
from train.config import ModelConfig
from train.model import M3Model, weights_digest
from train.scoring import Embeddings

torch.set_num_threads(1)

CONFIG = ModelConfig(max_query_tokens=64, max_passage_tokens=256)
TEXTS = [*(row["text"] for row in articles("en", 3)), "the sea", *TOPICS.values()]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("family") / request.param
    build_family(path, request.param, TEXTS)
    return str(path)


@pytest.fixture(scope="module")
def model(folder: str) -> M3Model:
    found = load(folder, CONFIG)
    generator = torch.Generator().manual_seed(1)
    torch.nn.init.normal_(found.sparse_linear.weight, std=0.1, generator=generator)
    torch.nn.init.constant_(found.sparse_linear.bias, 1.5)  # states point one way: often all < 0
    return found


def run(model: M3Model, texts: list[str]) -> Embeddings:
    with torch.no_grad():
        found: Embeddings = model(*model.pad(model.tokenize(texts, is_query=False)))
    return found


def test_heads_are_those_of_the_encoder_called_as_its_tokenizer_says(
    folder: str, model: M3Model
) -> None:
    """Also where the tokenizer gives token types (BERT): one text is one segment of type 0."""
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS[0], return_tensors="pt")
    if model.encoder.config.model_type == "bert":
        assert tokens["token_type_ids"].tolist() == [[0] * tokens["input_ids"].shape[1]]
    accepted = {k: v for k, v in tokens.items() if k != "token_type_ids" or folder[-4:] == "bert"}
    if model.encoder.config.model_type == "modernbert":
        accepted.pop("token_type_ids", None)
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder)(**tokens)[0][0]
    found = run(model, TEXTS[:1])
    close = {"atol": 1e-5, "rtol": 0.0}
    torch.testing.assert_close(found.dense[0], normalize(hidden[0], dim=0), **close)
    weights = torch.relu(model.sparse_linear(hidden)).squeeze(-1).detach()
    assert weights[1:-1].std() > 0.01
    torch.testing.assert_close(found.weights[0, 1:-1], weights[1:-1], **close)
    vectors = normalize(model.colbert_linear(hidden), dim=-1).detach()
    torch.testing.assert_close(found.vectors[0, 1:], vectors[1:], **close)


def test_special_tokens_are_the_tokenizers(model: M3Model) -> None:
    """cls, eos or sep, pad and unk weigh nothing; the mask token and words do."""
    tokenizer = model.tokenizer
    head = model.sparse_linear
    model.sparse_linear = torch.nn.Linear(32, 1)
    torch.nn.init.zeros_(model.sparse_linear.weight)
    torch.nn.init.ones_(model.sparse_linear.bias)
    word = tokenizer("lighthouse")["input_ids"][1]
    inner = [tokenizer.unk_token_id, tokenizer.mask_token_id, word, tokenizer.sep_token_id]
    weights = model(*model.pad([[tokenizer.cls_token_id, *inner], [tokenizer.cls_token_id, word]]))
    model.sparse_linear = head
    assert weights.weights.tolist() == [[0, 0, 1, 1, 0], [0, 1, 0, 0, 0]]


@pytest.mark.parametrize("others", [TEXTS[:1], TEXTS], ids=["pair", "many"])
def test_embedding_does_not_depend_on_the_batch(model: M3Model, others: list[str]) -> None:
    """A short text keeps its three embeddings beside longer ones."""
    alone, beside = run(model, ["the sea"]), run(model, [*others, "the sea"])
    length = alone.ids.shape[1]
    assert beside.ids.shape[1] > length
    for mine, theirs in zip(alone.tensors(), beside.tensors(), strict=True):
        part = theirs[-1] if mine.dim() == 2 and mine is alone.dense else theirs[-1, :length]
        torch.testing.assert_close(part, mine[0], atol=1e-5, rtol=0)


def test_round_trip_is_bit_equal(model: M3Model, tmp_path: Path) -> None:
    """Saved and loaded: the same weights and embeddings; the tokenizer cuts nothing by itself."""
    save(model, str(tmp_path / "model"))
    again = load(str(tmp_path / "model"), CONFIG, seed=9)
    assert weights_digest(again) == weights_digest(model)
    for mine, theirs in zip(run(model, TEXTS).tensors(), run(again, TEXTS).tensors(), strict=True):
        assert torch.equal(mine, theirs)
    assert json.loads((tmp_path / "model" / "tokenizer.json").read_text())["truncation"] is None


def test_attention_is_sdpa_and_weights_are_fp32(folder: str, tmp_path: Path) -> None:
    """Chosen, not left to the folder's config; a half-precision checkpoint trains in fp32."""
    half = tmp_path / "half"
    shutil.copytree(folder, half)
    AutoModel.from_pretrained(folder).to(torch.bfloat16).save_pretrained(half)
    found = load(str(half), CONFIG)
    assert found.encoder.config._attn_implementation in ("sdpa", "threefold")
    assert {p.dtype for p in found.parameters()} == {torch.float32}


TINY: dict[str, Any] = {"vocab_size": 400, "bos_token_id": 0, "eos_token_id": 2}


def _decoder() -> Any:
    return GPT2Model(GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=512, **TINY))


def _masked_bert() -> Any:
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=400, intermediate_size=64, is_decoder=True, **small)
    return BertModel(config, add_pooling_layer=False)


def _both() -> Any:
    layers = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    return BartModel(BartConfig(encoder_ffn_dim=32, decoder_ffn_dim=32, **layers, **heads, **TINY))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_decoder, r"is a decoder \(gpt2\): its first token does not see the others"),
        (_masked_bert, r"is a decoder \(bert\)"),
        (_both, r"is an encoder-decoder \(bart\); M3 needs an encoder, as XLM-R"),
    ],
    ids=["decoder", "BERT as decoder", "encoder-decoder"],
)
def test_no_encoder_is_refused(
    tiny_encoder: str, tmp_path: Path, build: Callable[[], Any], message: str
) -> None:
    """Their first token says nothing of the text; the error names the family and what to do."""
    folder = tmp_path / "model"
    build().save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(tiny_encoder) / name, folder)
    with pytest.raises(InputError, match=message):
        load(str(folder), CONFIG)


def _change(folder: Path, name: str, **changes: object) -> None:
    data = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**data, **changes}))


def test_tokenizer_without_cls_is_refused(tiny_encoder: str, tmp_path: Path) -> None:
    """One that defines none, and one that does not put it in front."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_encoder, folder)
    _change(folder, "tokenizer.json", post_processor=None)
    _change(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    with pytest.raises(InputError, match="does not put its '<s>' before a text"):
        load(str(folder), CONFIG)
    _change(folder, "tokenizer_config.json", cls_token=None)
    with pytest.raises(InputError, match="defines no cls_token; M3 needs one"):
        load(str(folder), CONFIG)
