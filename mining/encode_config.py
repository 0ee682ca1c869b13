"""How texts are encoded for mining: the `[mining.encode]` table."""

from __future__ import annotations

from dataclasses import dataclass

from curation.errors import ConfigError, check_range, unknown_name

_CHOICES = {
    "dtype": ("auto", "bf16", "fp32"),
    "query_dtype": ("fp32", "same"),
    "store": ("fp16", "fp32"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeConfig:
    """The `[mining.encode]` table."""

    device: str = "auto"
    """Where the encoder runs: auto (the process's GPU where there is one, else the CPU), cpu, cuda,
    cuda:1 … One that is missing or fails is an error."""
    batch_tokens: int = 4096
    """Tokens per encoding batch, padding included."""
    dtype: str = "auto"
    """auto: bf16 where a probe shows it faster and exact enough; else fp32 or bf16."""
    query_dtype: str = "fp32"
    """Of queries fp32, or the same as of passages: they are short, and in fp32 the scores of bf16's
    passages are nearer to fp32's by a factor of 1.4."""
    store: str = "fp16"
    """Precision of the vectors on disk: fp16 or fp32."""
    part_texts: int = 16_384
    """Texts of a part: what a killed run does again at most, and what is in memory at a time."""
    cache: str = ""
    """Folder of the vectors that are kept for later runs; default: vectors, in the run's folder."""

    def __post_init__(self) -> None:
        check_range("mining.encode.batch_tokens", self.batch_tokens, 16, 1 << 24)
        check_range("mining.encode.part_texts", self.part_texts, 1, 1 << 24)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    unknown_name(f"mining.encode.{name}", getattr(self, name), choices)
                )
