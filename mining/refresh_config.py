"""How often negatives are mined anew while the model learns: the `[ance]` table."""

from __future__ import annotations

from dataclasses import dataclass

from curation.errors import ConfigError, check_range, unknown_name

MODES = ("in_process", "follow")


@dataclass(frozen=True, kw_only=True, slots=True)
class AnceConfig:
    """The `[ance]` table. How negatives are chosen is as in [mining]."""

    every_steps: int = 0
    """Steps between two refreshes of the negatives, in each stage that trains the encoder on
    training rows; 0: none."""
    every_epochs: float = 0.0
    """The same in epochs of the stage, as 0.5; 0: none."""
    fraction: float = 1.0
    """Share of the queries that a refresh mines for, in turn; the others keep what they have
    (ANCE: 0.2). All passages are encoded each time."""
    mode: str = "in_process"
    """in_process: the trainer's processes encode and search, and training waits; follow: another
    process does (python -m pipelines refresh), the trainer takes what is ready."""
    wait: bool = False
    """follow only: at each refresh wait for negatives mined with the weights of that step."""
    poll_seconds: float = 5.0
    """follow only: how often the other process looks for a new checkpoint, and a trainer that
    waits for new negatives."""

    def __post_init__(self) -> None:
        check_range("ance.every_steps", self.every_steps, 0, 1e9)
        check_range("ance.every_epochs", self.every_epochs, 0.0, 1e4)
        check_range("ance.fraction", self.fraction, 1e-4, 1.0)
        check_range("ance.poll_seconds", self.poll_seconds, 0.01, 3600.0)
        if self.mode not in MODES:
            raise ConfigError(unknown_name("ance.mode", self.mode, MODES))
        if self.every_steps and self.every_epochs:
            raise ConfigError(
                f"ance.every_steps = {self.every_steps} and ance.every_epochs = "
                f"{self.every_epochs} both say when to refresh; set one of them to 0"
            )
        if self.wait and self.mode != "follow":
            raise ConfigError(
                "ance.wait = true goes with ance.mode = 'follow': in process training waits anyway"
            )

    @property
    def enabled(self) -> bool:
        """Whether negatives are refreshed at all."""
        return bool(self.every_steps or self.every_epochs)
