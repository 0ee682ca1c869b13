"""Checkpoints in BGE-M3's layout: encoder folder, `sparse_linear.pt`, `colbert_linear.pt`.

They load in FlagEmbedding and, dense, in transformers and sentence-transformers. Loading runs no
code of the folder: safetensors, or pickles that hold tensors alone.
"""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from curation.errors import ConfigError, InputError, OutputError, first_line
from train import folders, layout, mcls, positions
from train.config import ModelConfig
from train.layout import SPARSE_FILE, VECTOR_FILE
from train.model import M3Model

transformers_logging.disable_progress_bar()  # ours says what takes time


def save(model: M3Model, folder: str) -> None:
    """Write the checkpoint to a folder that appears complete or not at all.

    The last checkpoint of that name stays until then. Raises `OutputError` where the disk is full.
    """
    try:
        with folders.replacing(folder) as staging:
            write_encoder(model, staging)
            torch.save(model.sparse_linear.state_dict(), staging / SPARSE_FILE)
            torch.save(model.colbert_linear.state_dict(), staging / VECTOR_FILE)
            write_json(staging / layout.CONFIG_FILE, layout.own_settings(model.config))
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's and safetensors' own
        raise OutputError(
            f"the checkpoint {folder} cannot be written ({first_line(error)}); an earlier one is "
            "intact; make room and run again"
        ) from error


def write_encoder(model: M3Model, folder: Path) -> None:
    """Write what dense retrieval needs: encoder, tokenizer, sentence-transformers' files."""
    model.encoder.save_pretrained(folder)
    write_tokenizer(model, folder)
    hidden = int(model.encoder.config.hidden_size)
    for name, value in layout.sentence_transformers_files(model.config, hidden).items():
        write_json(folder / name, value)


def write_tokenizer(model: M3Model, folder: Path) -> None:
    """Write the tokenizer, without the cut of its last call."""
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()
    model.tokenizer.save_pretrained(folder)


def write_json(path: Path, value: object) -> None:
    """Write an indented JSON file, and its folder if need be."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def load(folder: str, config: ModelConfig, seed: int = 0) -> M3Model:
    """Load an encoder folder or M3 checkpoint; heads that are not there start from `seed`.

    A checkpoint's own pooling, prompts and width come from its folder and must not contradict
    the config. Raises `InputError` for a folder without a complete encoder and its tokenizer,
    `ConfigError` for lengths beyond the encoder's positions.
    """
    check(folder, config)
    encoder = _load_encoder(folder)
    tokenizer = _load_tokenizer(folder, int(encoder.config.vocab_size))
    if config.max_positions:
        positions.extend(encoder, config.max_positions)
    tokenizer.model_max_length = positions.limit(encoder) or tokenizer.model_max_length
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = M3Model(encoder, tokenizer, config)
    for name, head in ((SPARSE_FILE, model.sparse_linear), (VECTOR_FILE, model.colbert_linear)):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            _load_head(head, path)
    return model.eval()


def check(folder: str, config: ModelConfig) -> None:
    """Raise what `load` raises for a folder or config that do not fit, without reading weights."""
    encoder = _without_weights(folder)
    layout.check_own_settings(folder, config)
    if config.max_positions:
        positions.extend(encoder, config.max_positions)
    _check_lengths(positions.limit(encoder), config)


def config_of(folder: str) -> ModelConfig:
    """Return the config of a checkpoint folder, for texts as long as its encoder takes.

    A folder without `threefold.json` (BAAI/bge-m3) is read as BGE-M3: CLS, no prompts, and the
    width of its own multi-vector head.
    """
    longest = positions.limit(_without_weights(folder)) or 8192
    own = layout.read_own_settings(folder)
    path = os.path.join(folder, VECTOR_FILE)
    if "colbert_dim" not in own and os.path.exists(path):
        own["colbert_dim"] = len(_read_head(path)["weight"])
    return ModelConfig(
        encoder=folder, max_query_tokens=min(512, longest), max_passage_tokens=longest, **own
    )


def _read_config(folder: str) -> Any:
    folders.recover(folder)
    if not os.path.exists(os.path.join(folder, "config.json")):
        raise InputError(f"{folder} holds no config.json: it is no Hugging Face encoder")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} holds no encoder that loads: {first_line(error)}") from error
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f"{folder} is an encoder-decoder ({config.model_type}); M3 needs an encoder, as XLM-R, "
            "BERT or ModernBERT: change model.encoder"
        )
    return config


def _without_weights(folder: str) -> Any:
    """Return the encoder as its config describes it, on no device."""
    config = _read_config(folder)
    try:
        with torch.device("meta"):
            return AutoModel.from_config(config)
    except Exception as error:  # what a wrong value leads to depends on the class
        raise InputError(f"{folder} holds no encoder that loads: {first_line(error)}") from error


def _load_encoder(folder: str) -> Any:
    """Return the encoder in fp32; transformers would fill missing weights with random ones."""
    config = _read_config(folder)
    try:
        encoder, found = AutoModel.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            **_without_pooler(config),
        )
    except Exception as error:  # every file format raises its own
        raise InputError(f"{folder} holds no encoder that loads: {first_line(error)}") from error
    missing = sorted(name for name in found["missing_keys"] if "pooler" not in name)
    if missing:
        raise InputError(
            f"the weights in {folder} lack {len(missing)} of the encoder's, as {missing[0]}"
        )
    encoder = encoder.float().eval()
    _check_looks_both_ways(folder, encoder)
    return encoder


def _without_pooler(config: Any) -> dict[str, Any]:
    """Return the option that leaves out a pooling layer no head uses, where the class has one."""
    kinds = ("bert", "roberta", "xlm-roberta")
    return {"add_pooling_layer": False} if config.model_type in kinds else {}


def _check_looks_both_ways(folder: str, encoder: Any) -> None:
    """Raise `InputError` for a decoder: there the first token, which M3 pools, sees only itself."""
    kind, pad = encoder.config.model_type, encoder.config.pad_token_id
    first, one, other = [i for i in range(4) if i != pad][:3]
    ids = torch.tensor([[first, one, one], [first, other, other]])
    with torch.no_grad():
        states = encoder(input_ids=ids, attention_mask=torch.ones_like(ids))[0]
    if torch.equal(states[0, 0], states[1, 0]):
        raise InputError(
            f"{folder} is a decoder ({kind}): its first token does not see the others; M3 needs an "
            "encoder, as XLM-R, BERT or ModernBERT: change model.encoder"
        )


def _load_tokenizer(folder: str, vocabulary: int) -> Any:
    """Return the tokenizer; transformers would make an empty one where its file is missing."""
    if not os.path.exists(os.path.join(folder, "tokenizer.json")):
        raise InputError(f"{folder} holds no tokenizer.json")
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise InputError(f"the tokenizer of {folder} does not load: {first_line(error)}") from error
    for name in ("cls_token_id", "pad_token_id"):
        if getattr(tokenizer, name) is None:
            raise InputError(f"the tokenizer of {folder} defines no {name[:-3]}; M3 needs one")
    if len(tokenizer) > vocabulary:
        raise InputError(
            f"the tokenizer of {folder} has {len(tokenizer)} tokens, the encoder {vocabulary}"
        )
    if tokenizer("a")["input_ids"][:1] != [tokenizer.cls_token_id]:
        raise InputError(
            f"the tokenizer of {folder} does not put its {tokenizer.cls_token!r} before a text; M3 "
            "pools the state of that token"
        )
    return tokenizer


def _check_lengths(limit: int | None, config: ModelConfig) -> None:
    """Raise `ConfigError` where texts would be longer than the encoder has positions."""
    if limit is None:
        return
    longest = max(config.max_query_tokens, config.max_passage_tokens)
    every = config.mcls_tokens
    extra = mcls.extra_tokens(longest, every) if every else 0
    if longest + extra <= limit:
        return
    most = limit - (mcls.extra_tokens(limit, every) if every else 0)
    added = f" and {extra} CLS tokens of model.mcls_tokens = {every}" if extra else ""
    raise ConfigError(
        f"model.max_passage_tokens = {longest}{added} is beyond the encoder's {limit} positions; "
        f"set model.max_query_tokens and model.max_passage_tokens to {most} or less, or "
        f"model.max_positions = {longest + extra} to give it more"
    )


def _load_head(head: nn.Linear, path: str) -> None:
    state = _read_head(path)
    found = {name: tuple(value.shape) for name, value in state.items()}
    wanted = {name: tuple(value.shape) for name, value in head.state_dict().items()}
    if found == wanted:
        head.load_state_dict(state)
        return
    width = found.get("weight", (0,))[0]
    inputs = found.get("weight", (0, 0))[-1]
    is_other_width = path.endswith(VECTOR_FILE) and inputs == head.in_features
    hint = f"; set model.colbert_dim = {width}" if is_other_width else ""
    raise InputError(f"{path} is no head of this model: it has {found}, not {wanted}{hint}")


def _read_head(path: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a head file; anything else in the pickle is refused, not run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is no head of this model: a pickle that is damaged or holds more than tensors "
            "could run code and is not read"
        ) from error
    except Exception as error:
        raise InputError(f"{path} is no head of this model: {first_line(error)}") from error
    tensors = isinstance(state, dict) and all(map(torch.is_tensor, state.values()))
    if not tensors or set(state) != {"weight", "bias"}:
        raise InputError(f"{path} is no head of this model: it needs a weight and a bias")
    return dict(state)
