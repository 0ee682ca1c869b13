"""A tiny encoder with a real tokenizer, built in a second."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import XLMRobertaConfig, XLMRobertaModel

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def build_encoder(folder: Path, texts: list[str], positions: int = 514) -> None:
    """Write a Hugging Face folder of an XLM-R encoder with hidden size 32."""
    folder.mkdir(parents=True)
    vocabulary = build_tokenizer(folder, texts)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        initializer_range=0.25,  # with 0.02 all vectors are nearly equal
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)


def build_tokenizer(folder: Path, texts: list[str]) -> int:
    """Train and write a Unigram tokenizer; return the size of its vocabulary."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts * 3, trainer)
    tokenizer = _in_order(tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    names |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    settings = {"tokenizer_class": "XLMRobertaTokenizerFast", "model_max_length": 512, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer.get_vocab_size()


def _in_order(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer with its pieces sorted: training gives them in another order each time.

    Ids choose rows of the random embeddings, so every result of a test would depend on luck; scores
    differ in their last digits, too.
    """
    data = json.loads(tokenizer.to_str())
    first, rest = data["model"]["vocab"][: len(SPECIAL)], data["model"]["vocab"][len(SPECIAL) :]
    assert [piece for piece, _ in first] == SPECIAL
    data["model"]["vocab"] = first + sorted((piece, round(score, 2)) for piece, score in rest)
    ordered: Tokenizer = Tokenizer.from_str(json.dumps(data))
    return ordered


def reinitialise(folder: Path, seed: int) -> None:
    """Give an encoder folder other weights, with all else as it was."""
    config = XLMRobertaConfig.from_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
