"""Runs of finished rows → shards: the Beam part of `mine-negatives`."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam

from curation.runs import describe_run
from pipelines.merges import keep_all
from pipelines.parts import PartPlan, WriteParts
from pipelines.stored import Elements
from pipelines.work import Workspace


def build(
    pipeline: beam.Pipeline, paths: Sequence[str], plan: PartPlan, workspace: Workspace
) -> None:
    """Add: paths of runs → the plan's parts, every row kept."""
    _ = (
        pipeline
        | "Runs" >> Elements(paths, workspace)
        | "Describe" >> beam.Map(describe_run)
        | "Shards" >> WriteParts(plan, workspace, keep_all, spills=())
    )
