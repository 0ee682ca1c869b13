"""The part of the dataset card that says how the questions were made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines.report.markdown import plain, table
from pipelines.report.markup import share

_TEXT = """\
## Questions

`questions` were written by a language model, not by people: {asked} answers of {models} to prompts
about paragraphs of {documents} documents, of which {kept} were kept ({share}). A question is paired
with its whole document and with its paragraph; each row holds prompt version, model, tokens, place
of the paragraph, language verdict, copied share and round-trip rank. `reports/synth.html` shows
counts and rows to read.

{languages}

{reasons}

Documents: {sampling}.

{checks}

Tokens: {input_tokens} in, {output_tokens} out{cost}, by the server's count.

### Prompts

As they were sent, but for the paragraph; other languages are asked in the same way.

{prompts}
"""

_FENCE = re.compile(r"`{3,}")


def section(report: Mapping[str, Any]) -> str:
    """Return the section for a report of synthesis."""
    totals, config = report["totals"], report["config"]
    return _TEXT.format(
        asked=f"{totals['asked']:,}",
        kept=f"{totals['kept']:,}",
        share=share(totals["kept"], totals["asked"]),
        documents=f"{totals['documents']:,}",
        models=", ".join(plain(name) for name in report["models"]) or "no model",
        languages=table(
            ("language", "asked", "kept", "share"),
            [
                (row["language"], f"{row['asked']:,}", f"{row['kept']:,}", _kept(row))
                for row in report["languages"]
            ],
        ),
        reasons=table(
            ("rejected for", "answers"),
            [(row["reason"], f"{row['rejects']:,}") for row in report["reasons"]],
        ),
        sampling=sampling(config),
        checks=checks(report),
        input_tokens=f"{totals['input_tokens']:,}",
        output_tokens=f"{totals['output_tokens']:,}",
        cost="" if totals["usd"] is None else f", ${totals['usd']:,.2f}",
        prompts="\n\n".join(
            f"`{version}`\n\n{fenced(text)}" for version, text in report["prompts"].items()
        ),
    )


def _kept(row: Mapping[str, Any]) -> str:
    return share(row["kept"], row["asked"])


def sampling(config: Mapping[str, Any]) -> str:
    """Return how documents and paragraphs were drawn, in words."""
    each = config["documents_per_language"]
    number = (
        f"up to {each:,} of each language"
        if each
        else f"{config['documents']:,} in all, shared out over the languages as MLDR's"
    )
    limits = ", ".join(f"{key}: {most:,}" for key, most in config["quotas"].items())
    low, high = (config[f"{end}_document_characters"] for end in ("min", "max"))
    asked = config["questions_per_document"]
    paragraphs = "one paragraph" if asked == 1 else f"up to {asked} paragraphs"
    parts = [
        f"{number}, drawn by a hash of the id",
        f"quotas {plain(limits)}" if limits else "",
        f"{low:,} to {high:,} characters long, a third of that in scripts without spaces",
        f"{paragraphs} of each, drawn uniformly over the document",
    ]
    return "; ".join(part for part in parts if part)


def checks(report: Mapping[str, Any]) -> str:
    """Return what a question had to pass, in words."""
    config = report["config"]
    repeated = config["near_duplicates"]
    similar = f"with a Jaccard similarity of {repeated['threshold']} or more"
    found = [f"Of questions {similar if repeated['enabled'] else 'that are equal'} one is kept."]
    before = report["round_trip"]["before"]
    if before["questions"]:
        after, top_k = report["round_trip"]["after"], config["round_trip"]["top_k"]
        rule = f"ranks 1 to {top_k} are kept" if top_k else "no rank is rejected"
        found.append(
            f"Round trip with the encoder of the run: {before['rank_1']:.1%} of all answers, and "
            f"{after['rank_1'] or 0:.1%} of the kept questions, rank their own paragraph first; "
            f"{rule}."
        )
    if config["judge"]["enabled"]:
        least = config["judge"]["min_score"]
        found.append(f"A judge graded each from 1 to 5; those below {least} are rejects.")
    return " ".join(found)


def fenced(text: str) -> str:
    """Return a text as a block of code that nothing in it can end."""
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{text}\n{fence}"
