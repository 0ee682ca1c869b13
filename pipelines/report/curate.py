"""The report of curation: `reports/curate.json`, and the same to read in `reports/curate.html`."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from curation import manifest, storage
from pipelines.report.assemble import Report, assemble
from pipelines.report.facts import total
from pipelines.report.page import page
from pipelines.stage import Stage

_STEPS = ("write-documents", "write-pairs", "write-rejects")


def write(stage: Stage, counts: Counter[str]) -> Report:
    """Write both files out of the counts and what the workers noted; return the report."""
    facts = total(chain.from_iterable(stage.workspace.facts(step) for step in _STEPS))
    name = stage.out.rstrip("/").rsplit("/", 1)[-1]
    report = assemble(name, stage.fingerprint, manifest.versions(), counts, facts)
    storage.write_json(storage.join(stage.out, "reports/curate.json"), report)
    storage.write_bytes(storage.join(stage.out, "reports/curate.html"), page(report).encode())
    return report
