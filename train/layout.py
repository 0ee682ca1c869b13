"""The files of a checkpoint folder other than weights and tokenizer."""

from __future__ import annotations

import json
import os
from typing import Any

from curation.errors import ConfigError, InputError
from train.config import ModelConfig

SPARSE_FILE, VECTOR_FILE, CONFIG_FILE = "sparse_linear.pt", "colbert_linear.pt", "threefold.json"

# What a checkpoint was trained with: other values would give wrong vectors without a word.
_OWN = ("pooling", "query_prompt", "passage_prompt", "colbert_dim")


def own_settings(config: ModelConfig) -> dict[str, Any]:
    """Return the content of `threefold.json`."""
    return {name: getattr(config, name) for name in _OWN}


def read_own_settings(folder: str) -> dict[str, Any]:
    """Return a checkpoint's own settings; none where the folder has no `threefold.json`."""
    if not os.path.exists(os.path.join(folder, CONFIG_FILE)):
        return {}
    own = read_json(folder, CONFIG_FILE)
    return {name: own[name] for name in _OWN if name in own}


def check_own_settings(folder: str, config: ModelConfig) -> None:
    """Raise `ConfigError` where the config contradicts what a checkpoint was trained with."""
    for name, value in read_own_settings(folder).items():
        if getattr(config, name) != value:
            raise ConfigError(
                f"model.{name} = {getattr(config, name)!r}, but {folder} was trained with {value!r}"
            )


def read_json(folder: str, name: str) -> dict[str, Any]:
    """Return a JSON object of a folder; raise `InputError` where it is none."""
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8") as handle:
            value = json.load(handle)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged: it is no JSON object")
    return value


def sentence_transformers_files(config: ModelConfig, hidden_size: int) -> dict[str, Any]:
    """Return the JSON files by which sentence-transformers computes the dense vector."""
    modules = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    prompts = {"query": config.query_prompt, "document": config.passage_prompt}
    return {
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
        "sentence_bert_config.json": {
            "max_seq_length": config.max_passage_tokens,
            "do_lower_case": False,
        },
        "config_sentence_transformers.json": {
            "prompts": {k: v for k, v in prompts.items() if v},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "1_Pooling/config.json": {
            "word_embedding_dimension": hidden_size,
            "pooling_mode_cls_token": config.pooling == "cls",
            "pooling_mode_mean_tokens": config.pooling == "mean",
        },
        "2_Normalize/config.json": {},
    }
