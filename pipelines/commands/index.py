"""`python -m pipelines index`: a corpus and a model → an index on disk."""

from __future__ import annotations

import argparse
import tomllib
from typing import Any

from curation import storage
from curation.errors import ConfigError, unknown_name
from pipelines.search_corpus import corpus_files
from pipelines.terminal import say


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    files = corpus_files(arguments.corpus)
    settings = model_keys(arguments.settings)
    from mining.encode import probe_dtype
    from mining.hybrid_parts import Encoding
    from pipelines import search_index

    model = search_index.load_model(search_index.model_settings(arguments.model, settings))
    dtype = arguments.dtype
    if dtype == "auto":
        dtype, why = probe_dtype(model)
        say(f"index: encoding in {dtype} ({why})")
    encoding = Encoding(
        dtype=dtype,
        store=arguments.store,
        batch_tokens=arguments.batch_tokens,
        vectors=not arguments.no_vectors,
    )
    plan = search_index.Plan(
        files=files,
        folder=storage.local_path(arguments.to),
        name=arguments.model,
        encoding=encoding,
        language=arguments.language,
        factory=arguments.dense_index,
    )
    index = search_index.build(plan, model)
    languages = ", ".join(f"{name} {count:,}" for name, count in list(index.languages.items())[:8])
    megabytes = storage.folder_size(plan.folder) / 1e6
    say(f"index: {len(index):,} passages ({languages}) in {plan.folder}, {megabytes:,.0f} MB")
    return 0


def model_keys(given: list[str]) -> dict[str, Any]:
    """Return keys of `[model]` from KEY=VALUE, each checked as in a config file."""
    from pipelines.config import build
    from train.config import ModelConfig

    found: dict[str, Any] = {}
    for setting in given:
        key, equals, text = setting.partition("=")
        key = key.strip().removeprefix("model.")
        if not equals or key == "encoder":
            raise ConfigError(f"--set takes KEY=VALUE of [model] but not encoder, got {setting!r}")
        if key not in ModelConfig.__dataclass_fields__:
            raise ConfigError(unknown_name("model key", key, ModelConfig.__dataclass_fields__))
        try:
            found[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = text  # a bare word is a string
    build(ModelConfig, found, "model")
    return found
