"""The vectors of a run's texts: with the config's model, kept in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence

from curation import storage
from curation.errors import ConfigError
from mining.encode_parts import Encoded, PartEncoder
from mining.text_parts import ListedTexts
from pipelines.config import RunConfig
from pipelines.encoders import encoder_folder
from pipelines.terminal import Progress, say
from train import launch
from train.checkpoint import load

FOLDER = "vectors"


def part_encoder(config: RunConfig, command: str, folder: str = "") -> PartEncoder:
    """Return the encoder of `[model]`, or of a checkpoint's `folder`, as `[mining.encode]` says.

    Raises `ConfigError` for a device that does not work and a cache that cannot be mapped.
    """
    model = load(folder or encoder_folder(config.model.encoder), config.model, config.train.seed)
    return PartEncoder.of(
        model, config.mining.encode, cache_folder(config), lambda text: say(f"{command}: {text}")
    )


def cache_folder(config: RunConfig) -> str:
    """Return where vectors are kept: mining.encode.cache, else a folder in the run's."""
    folder = storage.local_path(config.mining.encode.cache or storage.join(config.out, FOLDER))
    if storage.is_url(folder):
        raise ConfigError(
            f"vectors are mapped from a local folder, but would be kept in {folder}; set "
            "mining.encode.cache to one"
        )
    return folder


def encode_listed(
    encoder: PartEncoder,
    name: str,
    texts: Sequence[str],
    *,
    is_query: bool,
    heads: Sequence[str] = ("dense",),
) -> Encoded:
    """Return the vectors of texts, with a progress line that calls them `name`."""
    parts = ListedTexts(texts, encoder.config.part_texts)
    rank, world = launch.rank(), launch.world_size()
    if rank:  # the first process tells for all
        return encoder.encode(parts, is_query=is_query, heads=heads)
    count = max(1, sum(parts.rows()[rank::world]))
    with Progress(f"encode {name}", "texts") as progress:

        def report(done: int, tokens: int) -> None:
            progress.update(done / count, done, f"{tokens:,} tokens")

        return encoder.encode(parts, is_query=is_query, heads=heads, report=report)
