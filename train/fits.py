"""What fits into memory, remembered with the run: a run that goes on has the same batches.

Where memory runs out all the same, fewer tokens are encoded at once from that step on. The batch
stays as it is, so what is computed does not change, only in how many pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from curation import storage
from curation.errors import InputError, TrainingError
from train import launch
from train.plan import Phase

_FILE = "fits.json"


@dataclass(frozen=True, slots=True)
class Fit:
    """What a stage was given."""

    batch_tokens: int
    batch_sizes: tuple[int, ...]
    lowered: tuple[tuple[int, int], ...] = ()
    """(step, tokens at once from it on), ascending."""

    def tokens(self, step: int) -> int:
        """Return how many tokens are encoded at once in a step."""
        return [self.batch_tokens, *(tokens for first, tokens in self.lowered if first <= step)][-1]


class Fits:
    """The fits of a run's stages, in a file of its working folder, the same in all processes."""

    def __init__(self, work: str) -> None:
        self._path = storage.join(work, _FILE)
        self._found: dict[str, Fit] = launch.first_says(_read(self._path))

    def apply(self, phase: Phase, find: Callable[[], Fit]) -> Phase:
        """Return the phase with what fits, as found before or, where it is wanted, by `find`."""
        wanted = not (phase.is_sized and phase.config.batch_tokens)
        if wanted and phase.name not in self._found:
            self._found[phase.name] = find()
            if launch.rank() == 0:
                self._write()
        fit = self._found.get(phase.name)
        return phase.fitted(fit.batch_sizes, fit.batch_tokens) if fit else phase

    def tokens(self, phase: Phase, step: int) -> int:
        """Return how many tokens are encoded at once in a step of a phase."""
        fit = self._found.get(phase.name)
        return fit.tokens(step) if fit else phase.config.batch_tokens

    def lower(self, phase: Phase, step: int, longest: int) -> None:
        """Halve the tokens at once from a step on: these were too many.

        Raises `TrainingError` where one text of `longest` tokens is too much already; with several
        processes, too, as the others wait for this one: the next run knows.
        """
        tokens = self.tokens(phase, step)
        if tokens <= longest:
            raise TrainingError(
                f"memory ran out on single texts ({longest} tokens) in stage {phase.name}; lower "
                "its max_passage_tokens or batch_sizes, or set train.memory = 'cache'"
            )
        config, half = phase.config, max(longest, tokens // 2)
        fit = self._found.get(phase.name, Fit(config.batch_tokens, config.batch_sizes))
        self._found[phase.name] = replace(fit, lowered=(*fit.lowered, (step, half)))
        self._write()
        if launch.world_size() > 1:
            raise TrainingError(
                f"memory ran out in process {launch.rank()}, encoding {tokens} tokens at once; run "
                f"again: it goes on from its last checkpoint with {half}"
            )

    def _write(self) -> None:
        storage.write_json(self._path, {name: asdict(fit) for name, fit in self._found.items()})


def _read(path: str) -> dict[str, Fit]:
    if not storage.exists(path):
        return {}
    try:
        return {name: _parsed(fit) for name, fit in storage.read_json(path).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged ({error}); remove its folder to begin again"
        ) from error


def _parsed(fit: dict[str, Any]) -> Fit:
    lowered = tuple((int(step), int(tokens)) for step, tokens in fit["lowered"])
    return Fit(int(fit["batch_tokens"]), tuple(map(int, fit["batch_sizes"])), lowered)
