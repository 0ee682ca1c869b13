"""The report of synthesis: `reports/synth.json`, and the same to read in `reports/synth.html`.

Everything is counted over the outcomes of the samples, one row each, from which questions and
rejects are written too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from curation import manifest, storage
from curation.draw import rank
from curation.records import Reject
from curation.synthesis import judge
from curation.synthesis.cost import usd
from pipelines.report.synth_page import page
from pipelines.stage import Stage
from pipelines.synth import SynthJob, read_samples, read_undrawn
from pipelines.synthesis.outcomes import Outcome, outcomes

REPORT_VERSION = 1
POSITION_BINS = 10
SAMPLES = 4
"""Questions shown of each language, kept and rejected each: those of the smallest hash."""

_EXCERPT = 600  # characters of a paragraph that is shown
_RANKS = (1, 5)

Report = dict[str, Any]
Usage = Mapping[str, Mapping[str, float]]
"""Of `questions` and the `judge`: requests, answers kept from before, tokens, dollars."""


@dataclass(slots=True)
class LanguageFacts:
    """What is counted of a language."""

    asked: int = 0
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    usd: float | None = None
    ranked: Counter[str] = field(default_factory=Counter)
    """before and after: questions with a rank; before_1, after_5, ...: of such a rank or better."""
    positions: list[int] = field(default_factory=lambda: [0] * POSITION_BINS)
    """Paragraphs asked about by where they begin, in tenths of their document."""
    samples: dict[str, list[tuple[int, dict[str, Any]]]] = field(
        default_factory=lambda: {"kept": [], "rejected": []}
    )

    def add(self, outcome: Outcome, *, is_new: bool) -> None:
        """Count a sample; tokens of an answer that another sample shares were paid for once."""
        sample, response, decided = outcome.sample, outcome.response, outcome.decided
        self.asked += 1
        self.kept += not decided.reason
        if decided.reason:
            self.reasons[decided.reason] += 1
        if response and is_new:
            self.tokens["input"] += response.input_tokens
            self.tokens["output"] += response.output_tokens
        self.positions[min(int(sample.paragraph_position * POSITION_BINS), POSITION_BINS - 1)] += 1
        self._add_rank(decided.round_trip_rank, is_kept=not decided.reason)
        self._show(outcome)

    def pay(self, cost: float | None) -> None:
        """Add the cost of an answer; None where it has no price."""
        self.usd = self.usd if cost is None else (self.usd or 0.0) + cost

    def add_undrawn(self, reject: Reject) -> None:
        """Count a document about which nothing could be asked."""
        self.reasons[reject.reason] += 1

    def _add_rank(self, place: int | None, *, is_kept: bool) -> None:
        if place is None:
            return
        for when in ("before", "after") if is_kept else ("before",):
            self.ranked[when] += 1
            for most in _RANKS:
                self.ranked[f"{when}_{most}"] += place <= most

    def _show(self, outcome: Outcome) -> None:
        group = self.samples["rejected" if outcome.decided.reason else "kept"]
        group.append((rank(outcome.sample.id, "sample"), _shown(outcome)))
        group.sort(key=lambda item: (item[0], item[1]["id"]))
        del group[SAMPLES:]


def _shown(outcome: Outcome) -> dict[str, Any]:
    sample, decided = outcome.sample, outcome.decided
    return {
        "id": sample.id,
        "source": sample.source,
        "question": outcome.checked.question,
        "paragraph": sample.paragraph[:_EXCERPT],
        "reason": decided.reason,
        "value": decided.value,
        "rank": decided.round_trip_rank,
        "judge_score": decided.judge_score,
    }


def write(stage: Stage, job: SynthJob, counts: Counter[str], usage: Usage) -> Report:
    """Write both files; return the report."""
    found, documents, models = gather(job)
    name = stage.out.rstrip("/").rsplit("/", 1)[-1]
    report = assemble(name, stage.fingerprint, found, usage) | {"counts": dict(counts)}
    report["totals"]["documents"] = documents
    report["models"] = dict(_largest_first(models))
    report["prompts"] = prompts_of(job)
    report["config"] = dict(stage.config["synthesis"])
    storage.write_json(storage.join(stage.out, "reports/synth.json"), report)
    storage.write_bytes(storage.join(stage.out, "reports/synth.html"), page(report).encode())
    return report


def gather(job: SynthJob) -> tuple[dict[str, LanguageFacts], int, Counter[str]]:
    """Return the facts of each language, the documents asked about, and answers by served model."""
    models: Counter[str] = Counter()
    found: dict[str, LanguageFacts] = {}
    seen: set[str] = set()
    documents = 0
    for part in job.sampled_parts():
        asked_about = set()
        for outcome in outcomes(job, part):
            sample = outcome.sample
            facts = found.setdefault(sample.language, LanguageFacts())
            facts.add(outcome, is_new=sample.key not in seen)
            if outcome.response and sample.key not in seen:
                facts.pay(usd([outcome.response], job.config))
            seen.add(sample.key)
            asked_about.add(sample.document_id)
            models.update([outcome.response.model] if outcome.response else [])
        for reject in read_undrawn(job, part):
            found.setdefault(reject.language, LanguageFacts()).add_undrawn(reject)
        documents += len(asked_about)
    return found, documents, models


def assemble(
    name: str,
    fingerprint: str,
    found: Mapping[str, LanguageFacts],
    usage: Usage,
) -> Report:
    """Return the report without what only a run knows."""
    order = sorted(found, key=lambda code: (-found[code].kept, -found[code].asked, code))
    rows = [_language(code, found[code]) for code in order]
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons.update(row["reasons"])
    judged = usage["judge"]
    costs = [cost for cost in (*(r["usd"] for r in rows), judged.get("usd")) if cost is not None]
    totals = {
        "asked": sum(row["asked"] for row in rows),
        "kept": sum(row["kept"] for row in rows),
        "rejects": reasons.total(),
        "unanswered": reasons["no_answer"] + judged["unanswered"],
        "input_tokens": sum(row["input_tokens"] for row in rows) + judged["input_tokens"],
        "output_tokens": sum(row["output_tokens"] for row in rows) + judged["output_tokens"],
        "usd": round(sum(costs), 6) if costs else None,
    }
    return {
        "report_version": REPORT_VERSION,
        "name": name,
        "fingerprint": fingerprint,
        "versions": manifest.versions(),
        "totals": totals,
        "usage": {who: dict(counted) for who, counted in usage.items()},
        "reasons": [{"reason": r, "rejects": n} for r, n in _largest_first(reasons)],
        "languages": rows,
        "round_trip": round_trip(found.values()),
        "samples": {
            code: {kind: [row for _, row in listed] for kind, listed in found[code].samples.items()}
            for code in order
        },
    }


def _language(code: str, facts: LanguageFacts) -> dict[str, Any]:
    return {
        "language": code,
        "asked": facts.asked,
        "kept": facts.kept,
        "reasons": dict(_largest_first(facts.reasons)),
        "input_tokens": facts.tokens["input"],
        "output_tokens": facts.tokens["output"],
        "usd": facts.usd,
        "positions": facts.positions,
        "round_trip": round_trip([facts]),
    }


def round_trip(found: Iterable[LanguageFacts]) -> dict[str, dict[str, Any]]:
    """Return before and after all checks: the questions ranked, and the shares of ranks 1 and 5."""
    total: Counter[str] = Counter()
    for facts in found:
        total.update(facts.ranked)
    return {
        when: {"questions": total[when]}
        | {
            f"rank_{most}": round(total[f"{when}_{most}"] / total[when], 4) if total[when] else None
            for most in _RANKS
        }
        for when in ("before", "after")
    }


def _largest_first(sizes: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(sizes.items(), key=lambda item: (-item[1], item[0]))


def prompts_of(job: SynthJob) -> dict[str, str]:
    """Return a prompt as it was sent for each version of a prompt, its paragraph left out."""
    found: dict[str, tuple[str, str]] = {}
    for part in job.sampled_parts():
        for sample in read_samples(job.samples_path(part)):
            text = sample.prompt.replace(sample.paragraph, "{text}")
            if sample.opener:
                text = text.removesuffix(sample.opener) + "{opener}"
            known = found.setdefault(sample.prompt_version, (sample.id, text))
            found[sample.prompt_version] = min(known, (sample.id, text))
    versions = {version: text for version, (_, text) in sorted(found.items())}
    if job.config.judge.enabled:
        versions[judge.prompt_version()] = judge.template()
    return versions
