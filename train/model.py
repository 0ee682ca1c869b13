"""The M3 model: a Hugging Face encoder with a dense, a sparse and a multi-vector head.

On disk it is BGE-M3's layout (encoder folder, `sparse_linear.pt`, `colbert_linear.pt`), so it
loads in FlagEmbedding and, dense, with transformers and sentence-transformers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from curation.errors import ConfigError, InputError
from train.config import ModelConfig
from train.scoring import Embeddings

transformers_logging.disable_progress_bar()  # ours says what takes time
SPARSE_FILE, VECTOR_FILE, CONFIG_FILE = "sparse_linear.pt", "colbert_linear.pt", "threefold.json"


class M3Model(nn.Module):
    """An encoder and its heads.

    dense: the first token's last hidden state (or the mean of all), L2-normalised. sparse:
    ReLU(W·h + b) of each token, 0 at cls, eos, pad and unk. multi-vector: W·h + b, normalised, of
    every token but the first. Both heads have a bias, as in the reference implementation.
    """

    def __init__(self, encoder: Any, tokenizer: Any, config: ModelConfig) -> None:
        super().__init__()
        hidden = int(encoder.config.hidden_size)
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.config = config
        self.sparse_linear = nn.Linear(hidden, 1)
        self.colbert_linear = nn.Linear(hidden, config.colbert_dim or hidden)
        # Starts as late interaction over the encoder's own states; the default of a linear layer
        # distorts them: nDCG@10 0.945 against 0.911 and 0.922 (docs/decisions.md).
        nn.init.orthogonal_(self.colbert_linear.weight)
        nn.init.zeros_(self.colbert_linear.bias)
        # Starts as token overlap. Random weights are dead for some seeds (the encoder's states
        # point one way, so ReLU may give 0 everywhere) and noise that the ensemble turns off for
        # others; of 0.05, 0.1, 0.2, 0.3 this start has the smallest loss (docs/decisions.md).
        nn.init.zeros_(self.sparse_linear.weight)
        nn.init.constant_(self.sparse_linear.bias, 0.2)
        special = [tokenizer.cls_token_id, _end_id(tokenizer)]
        special += [tokenizer.pad_token_id, tokenizer.unk_token_id]
        ids = torch.tensor(sorted({i for i in special if i is not None}))
        self.register_buffer("unweighted", ids, persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Embeddings:
        """Return the embeddings of (N, L) token ids; heads are computed in fp32."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
        hidden = hidden.float()
        mask = attention_mask.bool()
        inner = mask.clone()
        inner[:, 0] = False
        special = torch.isin(input_ids, self.get_buffer("unweighted"))
        with torch.autocast(hidden.device.type, enabled=False):
            weights = torch.relu(self.sparse_linear(hidden)).squeeze(-1)
            vectors = nn.functional.normalize(self.colbert_linear(hidden), dim=-1)
        return Embeddings(
            dense=nn.functional.normalize(self._pooled(hidden, mask), dim=-1),
            weights=weights.masked_fill(special | ~mask, 0.0),
            vectors=vectors * inner[..., None],
            ids=input_ids,
            mask=inner,
        )

    def _pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if self.config.pooling == "cls":
            return hidden[:, 0]
        weight = mask[..., None].float()
        return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)

    def tokenize(self, texts: Sequence[str], *, is_query: bool) -> list[list[int]]:
        """Return token ids with special tokens, prompt in front, cut to the config's length."""
        prompt = self.config.query_prompt if is_query else self.config.passage_prompt
        limit = self.config.max_query_tokens if is_query else self.config.max_passage_tokens
        if not texts:
            return []
        encoded = self.tokenizer(
            [prompt + text for text in texts], truncation=True, max_length=limit, padding=False
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return (N, L) ids and attention mask on the model's device."""
        length = max(map(len, rows))
        ids = torch.full((len(rows), length), int(self.tokenizer.pad_token_id))
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        return ids.to(self.device), mask.to(self.device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.sparse_linear.weight.device

    def save(self, folder: str) -> None:
        """Write the checkpoint to a folder that appears complete or not at all."""
        target = Path(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
        try:
            self.encoder.save_pretrained(staging)
            self.tokenizer.save_pretrained(staging)
            torch.save(self.sparse_linear.state_dict(), staging / SPARSE_FILE)
            torch.save(self.colbert_linear.state_dict(), staging / VECTOR_FILE)
            for name, value in _folder_files(self.config, self.encoder.config).items():
                path = staging / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
            staging.chmod(0o755)
            if target.exists():
                shutil.rmtree(target)
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _end_id(tokenizer: Any) -> int | None:
    end: int | None = tokenizer.eos_token_id
    return tokenizer.sep_token_id if end is None else end


def load(folder: str, config: ModelConfig, seed: int = 0) -> M3Model:
    """Load an encoder folder or M3 checkpoint; heads that are not there start from `seed`.

    A checkpoint's own pooling, prompts and width come from its folder and must not contradict
    the config. Raises `InputError` for a folder without a complete encoder and its tokenizer,
    `ConfigError` for lengths beyond the encoder's positions.
    """
    check(folder, config)
    encoder = _load_encoder(folder)
    tokenizer = _load_tokenizer(folder, int(encoder.config.vocab_size))
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
    if not os.path.exists(os.path.join(folder, "config.json")):
        raise InputError(f"{folder} holds no config.json: it is no Hugging Face encoder")
    try:
        own = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} holds no encoder that loads: {error}") from error
    _check_lengths(own, config)
    _check_own_config(folder, config)


def _load_encoder(folder: str) -> Any:
    """Return the encoder; transformers would fill weights that are missing with random ones."""
    try:
        encoder, found = AutoModel.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, **_without_pooler(folder)
        )
    except Exception as error:  # every file format raises its own
        raise InputError(f"{folder} holds no encoder that loads: {error}") from error
    missing = sorted(name for name in found["missing_keys"] if "pooler" not in name)
    if missing:
        raise InputError(
            f"the weights in {folder} lack {len(missing)} of the encoder's, as {missing[0]}"
        )
    return encoder


def _load_tokenizer(folder: str, vocabulary: int) -> Any:
    """Return the tokenizer; transformers would make an empty one where its file is missing."""
    if not os.path.exists(os.path.join(folder, "tokenizer.json")):
        raise InputError(f"{folder} holds no tokenizer.json")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise InputError(f"the tokenizer of {folder} does not load: {error}") from error
    for name in ("cls_token_id", "pad_token_id"):
        if getattr(tokenizer, name) is None:
            raise InputError(f"the tokenizer of {folder} defines no {name[:-3]}; M3 needs one")
    if len(tokenizer) > vocabulary:
        raise InputError(
            f"the tokenizer of {folder} has {len(tokenizer)} tokens, the encoder {vocabulary}"
        )
    return tokenizer


def _without_pooler(folder: str) -> dict[str, Any]:
    """Return the option that leaves out a pooling layer no head uses, where the class has one."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as handle:
        kind = json.load(handle).get("model_type", "")
    return {"add_pooling_layer": False} if kind in ("bert", "roberta", "xlm-roberta") else {}


def _load_head(head: nn.Linear, path: str) -> None:
    try:
        head.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise InputError(f"{path} is no head of this model: {error}") from error


def _check_lengths(encoder: Any, config: ModelConfig) -> None:
    """Raise `ConfigError` where texts would be longer than the encoder has positions."""
    positions = getattr(encoder, "max_position_embeddings", None)
    if positions is None:
        return
    if "roberta" in encoder.model_type:
        positions -= encoder.pad_token_id + 1
    longest = max(config.max_query_tokens, config.max_passage_tokens)
    if longest > positions:
        raise ConfigError(
            f"model.max_passage_tokens = {longest} is beyond the encoder's {positions} positions; "
            f"set model.max_query_tokens and model.max_passage_tokens to {positions} or less"
        )


def _check_own_config(folder: str, config: ModelConfig) -> None:
    """Raise `ConfigError` where the config contradicts what a checkpoint was trained with."""
    path = os.path.join(folder, CONFIG_FILE)
    if not os.path.exists(path):
        return
    try:
        with open(path, encoding="utf-8") as handle:
            own = json.load(handle)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    for name, value in own.items():
        if getattr(config, name, value) != value:
            raise ConfigError(
                f"model.{name} = {getattr(config, name)!r}, but {folder} was trained with {value!r}"
            )


def _folder_files(config: ModelConfig, encoder: Any) -> dict[str, Any]:
    """Return the JSON files that sentence-transformers and this program read."""
    modules = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    prompts = {"query": config.query_prompt, "document": config.passage_prompt}
    own = {
        "pooling": config.pooling,
        "query_prompt": config.query_prompt,
        "passage_prompt": config.passage_prompt,
        "colbert_dim": config.colbert_dim,
    }
    return {
        CONFIG_FILE: own,
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
            "word_embedding_dimension": encoder.hidden_size,
            "pooling_mode_cls_token": config.pooling == "cls",
            "pooling_mode_mean_tokens": config.pooling == "mean",
        },
        "2_Normalize/config.json": {},
    }


def weights_digest(model: M3Model) -> str:
    """Return a digest of all weights: what tells one checkpoint's vectors from another's."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
