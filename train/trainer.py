"""The training loop: phases of steps, and checkpoints to go on from.

What a step does follows from (seed, phase, step, process) and a checkpoint holds all else, so a run
that was stopped anywhere and went on ends with the same weights as one that was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from train import launch, sharding
from train import log as logs
from train.autobatch import find
from train.config import TrainConfig
from train.fits import Fit, Fits
from train.model import M3Model
from train.optimizer import prepare, set_trainable, trainable
from train.phase_run import Hooks, PhaseRun
from train.plan import Phase
from train.precision import compile_encoder
from train.state import MODEL, Position, StateFolder
from train.tasks import task_of


@dataclass(slots=True)
class Trainer:
    """Runs phases and saves its state to the folder `work` every so many steps."""

    model: M3Model
    config: TrainConfig
    phases: Sequence[Phase]
    work: str
    log_path: str
    hooks: Hooks = field(default_factory=Hooks)
    events: str = ""
    """The folder for TensorBoard; empty: none."""

    def run(self) -> None:
        """Train all phases from the last saved state, if there is one.

        Raises `Stopped` where `hooks.should_stop` said so, `TrainingError` for a loss that is no
        number or a spike, `InputError` for a damaged state, `OutputError` where one cannot be
        written.
        """
        prepare(self.model, self.config)
        unfrozen = trainable(self.model)
        if self.config.compile:
            compile_encoder(self.model)
        if self.config.shard:
            sharding.shard(self.model)
        state = StateFolder(self.work)
        fits = Fits(self.work)
        phases = [self._fitted(phase, fits, unfrozen) for phase in self.phases]
        start = self._start(state)
        steps = [phase.steps for phase in phases]
        done = sum(steps[: start.phase]) + start.step
        version = start.negatives
        path = self.log_path if launch.rank() == 0 else ""
        with logs.opened(path, start.log_bytes, self.events, done) as log:
            for number, phase in enumerate(phases[start.phase :], start.phase):
                before = sum(steps[:number])
                run = PhaseRun(
                    self.model, phase, unfrozen, state, fits, log, self.hooks, before, sum(steps)
                )
                run.run(start if number == start.phase else Position(negatives=version))
                version = run.version

    def _fitted(self, phase: Phase, fits: Fits, unfrozen: list[bool]) -> Phase:
        """Return a phase with batches that fit into memory, measured where that is wanted."""

        def measure() -> Fit:
            set_trainable(self.model, phase.parts, unfrozen)
            return find(self.model, phase, task_of(self.model, phase))

        return fits.apply(phase, measure)

    def _start(self, state: StateFolder) -> Position:
        """Return where to go on, with the weights loaded."""
        position: Position | None = launch.first_says(state.read(launch.world_size()))
        if position is None:
            if self.hooks.refresher and launch.rank() == 0:
                self.hooks.refresher.reset()
            launch.meet()
            return Position()
        sharding.load_weights(self.model, state.load(position.folder, MODEL))
        return position
