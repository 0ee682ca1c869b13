"""`make curate`."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from curation import contamination, manifest, storage
from curation.config import DECISIONS
from curation.errors import ConfigError, InputError
from curation.filters import load_thresholds
from curation.phrases import load_word_lists, word_list_files
from curation.splitting import Split, input_files, list_splits
from pipelines.commands.common import check_runner, read_config
from pipelines.config import RunConfig, to_dict
from pipelines.report import card
from pipelines.report import curate as report
from pipelines.stage import Stage, label_counts, reject_counts
from pipelines.terminal import Progress, State, say, table
from pipelines.work import Watch, Workspace, total_counts

OUTPUTS = ("documents", "pairs", "rejects/curate")
STEPS = {"extract": 0.75, "write-documents": 0.15, "write-pairs": 0.1}
COUNTED = (
    "join-redirects",
    "near-duplicates",
    *(f"write-{kind}" for kind in ("documents", "references", "pairs", "questioned", "labelled")),
)
"""The steps behind extraction whose counts are those of the report."""


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    config = read_config(arguments)
    if config is None:
        return 0
    if not config.curation.sources:
        raise ConfigError(
            f"{arguments.config} lists no source; add a table like:\n"
            '  [[curation.sources]]\n  kind = "wikipedia"\n  path = "dumps/*.xml.bz2"'
        )
    check_runner(arguments, config, {"curation": to_dict(config.curation)})
    splits = list_splits(config.curation)
    if arguments.dry_run:
        say(describe(config, splits))
        return 0
    run(config, splits, arguments.beam)
    return 0


def describe(config: RunConfig, splits: Sequence[Split]) -> str:
    """Return what would be read and written."""
    rows = []
    for number, source in enumerate(config.curation.sources):
        own = [split for split in splits if split.source == number]
        files = {split.path for split in own}
        size = sum(split.bytes for split in own) / 1e6
        language = source.language or "from the source"
        rows.append(
            [
                source.label,
                source.kind,
                language,
                f"{len(files):,}",
                f"{len(own):,}",
                f"{size:,.1f}",
            ]
        )
    listing = table(["source", "kind", "language", "files", "splits", "MB"], rows)
    return f"{listing}\nwould write to {config.out}: {', '.join(outputs_of(config))}"


def outputs_of(config: RunConfig) -> tuple[str, ...]:
    """Return the output folders; `labelled` only where a source holds such rows."""
    labelled = any(source.gives_labelled for source in config.curation.sources)
    return (*OUTPUTS, "labelled") if labelled else OUTPUTS


def extraction_for(config: RunConfig) -> Stage:
    """Return the stage that cleans and scores: it depends on no key that only decides."""
    curation = {k: v for k, v in to_dict(config.curation).items() if k not in DECISIONS}
    curation["sources"] = [
        {k: v for k, v in source.items() if k not in DECISIONS} for source in curation["sources"]
    ]
    return Stage(
        name="extract",
        prefix="scores-",
        out=config.out,
        outputs=(),
        config={"curation": curation, "encoder": config.model.encoder},
        inputs=[
            storage.describe_file(path)
            for path in (
                *input_files(config.curation),
                *word_list_files(config.curation.word_lists),
            )
        ],
    )


def stage_for(config: RunConfig) -> Stage:
    """Return the stage with all that the result depends on."""
    settings = to_dict(config.curation)
    del settings["keep_scores"]
    files = [config.curation.thresholds] if config.curation.thresholds else []
    for folder in config.curation.decontamination.sets:
        files += contamination.files_of(folder)
    return Stage(
        name="curate",
        out=config.out,
        outputs=outputs_of(config),
        config={"curation": settings, "encoder": config.model.encoder},
        inputs=[*extraction_for(config).inputs, *_describe(files)],
    )


def _describe(patterns: Sequence[str]) -> list[Any]:
    paths = [path for pattern in patterns for path in storage.expand(pattern)]
    return [storage.describe_file(path) for path in paths]


def run(config: RunConfig, splits: Sequence[Split], beam_arguments: list[str]) -> None:
    """Curate, unless the outputs are up to date."""
    stage, extraction = stage_for(config), extraction_for(config)
    if stage.is_up_to_date():
        settle_scores(extraction, config.curation.keep_scores)
        require_pairs(kept_rows(stage))
        return
    load_thresholds(config.curation.thresholds)  # a mistake in it is told before any work
    load_word_lists(config.curation.word_lists)
    from pipelines import curate, runner
    from pipelines.encoders import ship_tokenizer

    extraction.begin()
    stage.begin()
    job = curate.CurateJob(
        config=config.curation,
        tokenizer=ship_tokenizer(config.model.encoder, stage.workspace),
        extraction=extraction.workspace,
        workspace=stage.workspace,
        out=config.out,
        descriptions={output: stage.description(output) for output in stage.outputs},
    )
    pipeline = runner.create_pipeline(beam_arguments, config.runner.workers, len(splits))
    curate.build(pipeline, job)
    watches = Watch(extraction.workspace), Watch(stage.workspace)
    with Progress("curate", "records", lambda: progress_state(*watches, splits)):
        has_run = runner.run(pipeline)
    if not has_run:
        return
    following = "make filter-pairs" if config.relevance.enabled else ""
    finish(stage, extraction.workspace, splits, following)
    settle_scores(extraction, config.curation.keep_scores)
    require_pairs(kept_rows(stage))


def kept_rows(stage: Stage) -> int:
    """Return the rows of the outputs that later stages use."""
    outputs = [output for output in ("pairs", "labelled") if output in stage.outputs]
    return sum(manifest.read(stage.directory(o), "make curate")["rows"] for o in outputs)


def settle_scores(extraction: Stage, keep: bool) -> None:
    """Keep the scored documents for runs that decide anew, and say their size; or remove them."""
    root = extraction.workspace.root
    if not keep:
        storage.remove(root)
    elif storage.exists(root):
        size = storage.folder_size(root) / 1e6
        hint = "curation.keep_scores=false drops it"
        say(f"  {root} holds {size:,.1f} MB of scored documents; {hint}")


def progress_state(
    extraction: Watch | Workspace, workspace: Watch | Workspace, splits: Sequence[Split]
) -> State:
    """Return how far the job is, from the status files."""
    statuses = {step: workspace.statuses(step) for step in STEPS}
    statuses["extract"] = extraction.statuses("extract")
    extracted = statuses["extract"]
    sizes = {split.element: split.bytes for split in splits}
    read = sum(s["share"] * sizes[s["element"]] for s in extracted)
    share = read / max(1, sum(sizes.values())) * STEPS["extract"]
    for step in ("write-documents", "write-pairs"):
        share += STEPS[step] * (1.0 if _is_past(statuses, step) else 0.0)
    items = sum(n for s in extracted for k, n in s["counts"].items() if k.startswith("in|"))
    done = sum(s["done"] for s in extracted)
    remark = f"{done}/{len(splits)} splits{rejected_so_far(statuses)}"
    return State(share, items, remark)


def rejected_so_far(statuses: dict[str, list[dict[str, Any]]]) -> str:
    """Return the most frequent reasons with their counts, of finished elements and open ones."""
    counts: Counter[str] = Counter()
    for status in (s for listed in statuses.values() for s in listed):
        counts.update(reject_counts(status["counts"]))
    if not counts:
        return ""
    first = sorted(counts, key=lambda reason: (-counts[reason], reason))[:_REASONS_SHOWN]
    more = ", …" if len(counts) > len(first) else ""
    listed = ", ".join(f"{reason} {counts[reason]:,}" for reason in first)
    return f"  rejected {counts.total():,}: {listed}{more}"


def _is_past(statuses: dict[str, list[dict[str, Any]]], step: str) -> bool:
    """Tell whether a step is over: something of it is done and nothing is open."""
    return bool(statuses[step]) and all(status["done"] for status in statuses[step])


def finish(
    stage: Stage, extraction: Workspace, splits: Sequence[Split], following: str = ""
) -> None:
    """Write the report and the card, and print the summary."""
    workspace = stage.workspace
    read = total_counts(extraction.statuses("extract"))
    counts = Counter(read)
    for step in COUNTED:
        written = total_counts(workspace.statuses(step))
        counts.update({k: n for k, n in written.items() if not k.startswith("in|")})
    report.write(stage, counts)
    card.write(stage.out)
    say(summary_table(counts))
    records = sum(n for _, n in label_counts(read, "in"))
    documents = sum(n for _, n in label_counts(counts, "documents"))
    pairs = sum(n for _, n in label_counts(counts, "pairs"))
    labelled = sum(n for _, n in label_counts(counts, "labelled"))
    also = f", {labelled:,} labelled rows" if "labelled" in stage.outputs else ""
    stage.finish(
        f"{records:,} records from {len({split.path for split in splits})} files",
        f"{documents:,} documents and {pairs:,} pairs{also}",
        counts,
        following,
    )


def require_pairs(count: int) -> None:
    """Raise `InputError` where nothing was kept that a later stage could use."""
    if not count:
        raise InputError("no pair was kept; reports/curate.json and rejects/curate say why")


def summary_table(counts: Counter[str]) -> str:
    """Return documents, pairs and rejects by source and language."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    for kind in ("documents", "pairs", "labelled"):
        for (source, language, *_), count in label_counts(counts, kind):
            rows.setdefault((source, language), Counter())[kind] += count
    for (_, source, language), count in label_counts(counts, "rejects"):
        rows.setdefault((source, language), Counter())["rejects"] += count
    columns = [k for k in _COLUMNS if k != "labelled" or any(row[k] for row in rows.values())]
    cells = [
        [f"{source} {language}", *(f"{rows[source, language][k]:,}" for k in columns)]
        for source, language in sorted(rows, key=lambda key: (key[0], -rows[key]["documents"]))
    ]
    shown, hidden = cells[:_MOST_ROWS], len(cells) - _MOST_ROWS
    text = table(["source language", *columns], shown)
    return text + (f"\n… and {hidden} more in reports/curate.json" if hidden > 0 else "")


_COLUMNS = ("documents", "pairs", "labelled", "rejects")
_MOST_ROWS = 40
_REASONS_SHOWN = 3
