"""`python -m pipelines` in which the last process gets a SIGTERM after step STOP_AT."""

import os
import signal
import sys

from pipelines import cli
from train.learner import Learner
from train.log import StepReport
from train.work import Work

LEARN = Learner.learn


def learn(self: Learner, step: int, work: Work, share: float) -> StepReport:
    """Take the step, then the signal."""
    report = LEARN(self, step, work, share)
    learn.done += 1  # type: ignore[attr-defined]
    is_last = os.environ["RANK"] == str(int(os.environ["WORLD_SIZE"]) - 1)
    if is_last and learn.done == int(os.environ["STOP_AT"]):  # type: ignore[attr-defined]
        os.kill(os.getpid(), signal.SIGTERM)
    return report


learn.done = 0  # type: ignore[attr-defined]
Learner.learn = learn  # type: ignore[method-assign]
sys.exit(cli.main())
