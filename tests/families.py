"""Tiny encoders of other families than XLM-R, each with its own kind of tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel

from tests.tiny import build_encoder

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FAMILIES = ("xlm-roberta", "bert", "modernbert")


def build_family(folder: Path, family: str, texts: list[str], positions: int = 512) -> None:
    """Write the folder of a random encoder of hidden size 32 for texts of `positions` tokens."""
    if family == "xlm-roberta":
        build_encoder(folder, texts, positions + 2)
        return
    folder.mkdir(parents=True)
    size = build_word_pieces(folder, texts)
    build = {"bert": _bert, "modernbert": _modernbert}[family]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        build(size, positions).save_pretrained(folder)


def _bert(vocabulary: int, positions: int) -> Any:
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
        initializer_range=0.25,
    )
    return BertModel(config, add_pooling_layer=False)


def _modernbert(vocabulary: int, positions: int) -> Any:
    config = ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
        local_attention=16,
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        bos_token_id=2,
        eos_token_id=3,
        initializer_range=0.25,
        initializer_cutoff_factor=8.0,
    )
    return ModernBertModel(config)


def build_word_pieces(folder: Path, texts: list[str]) -> int:
    """Write a WordPiece tokenizer of the texts' words and letters; return its size."""
    words = sorted({word for text in texts for word in text.lower().split()})
    letters = sorted({letter for word in words for letter in word})
    pieces = dict.fromkeys([*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words])
    tokenizer = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = [f"{name[1:-1].lower()}_token" for name in SPECIAL]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **dict(zip(names, SPECIAL, strict=True)),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(pieces)
