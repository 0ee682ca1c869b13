"""One phase of a run: its steps, its evaluations, its checkpoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from train import launch, sharding
from train.fits import Fits
from train.fresh import Refresher, Version
from train.guard import Guard
from train.learner import Learner
from train.log import Judgement, Line, Log, Refreshed
from train.model import M3Model
from train.optimizer import set_trainable
from train.plan import Phase
from train.state import MODEL, OPTIMIZER, Position, StateFolder
from train.stopping import Stopped
from train.watch import Scores, Watch

BAD_BATCH = "bad-batch.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hooks:
    """What a run calls outside of training."""

    on_line: Callable[[Line], None] = lambda _: None
    """Is told each step and evaluation, in process 0 alone."""
    should_stop: Callable[[], bool] = lambda: False
    """Is asked after each step."""
    evaluate: Callable[[M3Model], Scores] | None = None
    """Retrieves for held-out queries, every `train.evaluate_steps`."""
    refresher: Refresher | None = None
    """Mines negatives anew with the weights of the moment (ANCE)."""


@dataclass(slots=True)
class PhaseRun:
    """Runs a phase from a position to its end."""

    model: M3Model
    phase: Phase
    unfrozen: list[bool]
    """Which of the encoder's parameters the config lets learn."""
    state: StateFolder
    fits: Fits
    log: Log
    hooks: Hooks
    before: int
    """Steps of earlier phases."""
    all_steps: int
    """Steps of all phases."""
    guard: Guard = field(init=False)
    watch: Watch = field(init=False)
    learner: Learner = field(init=False)
    version: int = 0
    """The negatives in use; 0: those of the shards."""
    _best: str = ""
    """The folder of the best weights."""
    _saved: int = -1
    """The step of the last checkpoint."""
    _judged: tuple[int, Scores] = (-1, {})
    """The last evaluation and its step."""

    def __post_init__(self) -> None:
        config = self.phase.config
        self.guard = Guard(config.spike_factor, os.path.join(self.state.root, BAD_BATCH))
        self.watch = Watch(config.keep_by, config.patience)
        self._set_modes()
        self.learner = Learner(self.model, self.phase, self.guard, self.fits)

    def run(self, start: Position) -> None:
        """Train from a position in the phase, and save where the next one begins."""
        self.version = start.negatives
        if start.step:
            self._recall(start)
        if not self.watch.has_seen_enough:
            self._take_steps(start.step)
        if self._best:
            sharding.load_weights(self.model, self.state.load(self._best, MODEL))
        self._write(Position(phase=self.phase.number + 1))

    def _take_steps(self, first: int) -> None:
        """Train from a step on; between two refreshes all rows have negatives of one version."""
        refresher = self.hooks.refresher
        every = refresher.every(self.phase) if refresher else 0
        for start, end in spans(first, self.phase.steps, every):
            if refresher and every and start and not start % every:
                self._refresh(refresher, start)
            overlay = None
            if refresher and self.phase.stage.data == "training":
                overlay = refresher.rows(self.version)
            with closing(self.learner.texts(start, end, overlay)) as texts:
                for step, work in enumerate(texts, start):
                    share = (self.before + step + 1) / self.all_steps
                    self._tell(self.learner.learn(step, work, share))
                    if self._is_over(step + 1):
                        return

    def _refresh(self, refresher: Refresher, step: int) -> None:
        """Take the negatives of now, from this step on."""
        if refresher.wants_checkpoint and self._saved != step:
            self._write(Position(phase=self.phase.number, step=step))
        self.model.eval()
        found = refresher.at(self.model, self.phase, step, self.version)
        self._set_modes()
        if found:
            self.version = found.number
            self._tell(self._refreshed(step, found))

    def _refreshed(self, step: int, found: Version) -> Refreshed:
        held_out = {}
        if self.hooks.evaluate:
            held_out = self._judged[1] if self._judged[0] == step else self._scores(step)
        return Refreshed(
            phase=self.phase.name,
            step=step,
            version=found.number,
            mined_at=found.step,
            seconds=found.seconds,
            facts=found.facts,
            held_out=held_out,
        )

    def _is_over(self, done: int) -> bool:
        """Evaluate and save where it is time; tell whether there is nothing more to gain."""
        config, steps = self.phase.config, self.phase.steps
        evaluates = bool(config.evaluate_steps) and (
            done % config.evaluate_steps == 0 or done == steps
        )
        if evaluates:
            self._judge(done)
        asked = launch.any_says(self.hooks.should_stop())
        if asked or evaluates or (done % config.save_steps == 0 and done < steps):
            self._write(Position(phase=self.phase.number, step=done))
        if asked:
            raise Stopped(f"stopped after step {done} of {steps} of {self.phase.name} and saved")
        return self.watch.has_seen_enough

    def _judge(self, done: int) -> None:
        scores = self._scores(done)
        is_best = self.watch.see(done, scores)
        if is_best and self.phase.config.keep == "best":
            self._best = Position(phase=self.phase.number, step=done).folder
        self._tell(Judgement(phase=self.phase.name, step=done, scores=scores, is_best=is_best))

    def _scores(self, done: int) -> Scores:
        """Retrieve for held-out queries in process 0; in all where each has a piece of it."""
        assert self.hooks.evaluate is not None
        evaluate = partial(self.hooks.evaluate, self.model.eval())
        is_cut = self.phase.config.shard
        scores: Scores = launch.first_says(evaluate()) if is_cut else launch.first_does(evaluate)
        self._set_modes()
        self._judged = done, scores
        return scores

    def _set_modes(self) -> None:
        set_trainable(self.model, self.phase.parts, self.unfrozen)

    def _tell(self, line: Line) -> None:
        self.log.write(line)
        if launch.rank() == 0:
            self.hooks.on_line(line)

    def _recall(self, start: Position) -> None:
        self.learner.load_state(self.state.load(start.folder, OPTIMIZER))
        self.guard.losses = start.memory["losses"]
        self.watch = Watch(**start.memory["watch"])
        self._best = start.best
        self._saved = start.step

    def _write(self, position: Position) -> None:
        """Save the weights and, inside the phase, what else it takes to go on."""
        files = {MODEL: sharding.whole(self.model.state_dict())}
        position = replace(
            position,
            world=launch.world_size(),
            log_bytes=self.log.size(),
            negatives=self.version,
        )
        if position.phase == self.phase.number:
            files[OPTIMIZER] = self.learner.state()
            memory = {"losses": self.guard.losses, "watch": asdict(self.watch)}
            position = replace(position, best=self._best, memory=memory)
        launch.meet()  # nobody reads any more what is dropped now
        if launch.rank() == 0:
            self.state.write(position, files)
            if self.hooks.refresher:
                self.hooks.refresher.saved(self.version)
        self._saved = position.step
        launch.meet()


def spans(first: int, steps: int, every: int) -> Iterator[tuple[int, int]]:
    """Yield (first, end) of the steps from `first` on, cut at multiples of `every` (0: none)."""
    while first < steps:
        end = min(steps, (first // every + 1) * every) if every else steps
        yield first, end
        first = end
