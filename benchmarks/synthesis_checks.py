"""How many questions that people asked the checks of synthesis reject, by language and reason.

    python benchmarks/synthesis_checks.py DATA [--limit 300] [--show]

DATA holds `retrieval/SPLIT/NAME/{corpus,queries}.jsonl.gz, qrels.tsv`; each question is checked
against its own passage; those of XOR-TyDi (`qa/xor_tydi`) have none. A reject is a false one
unless reading it says otherwise; `--show` prints them. `copied` has its own column: annotators who
see the passage do copy.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.real_texts import json_lines
from curation.language import LanguageDetector
from curation.records import Sample
from curation.synthesis.answers import Answer
from curation.synthesis.checks import Checked, check
from curation.synthesis.config import SynthesisConfig

SETS = (
    *(
        f"eval/xquad-{c}"
        for c in ["ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"]
    ),
    "eval/jaquad-dev-ja",
    "eval/iapp-test-th",
    "eval/tquad-dev-tr",
    "train/drcd-dev-zh_Hant",
    "train/cmrc2018-trial-zh",
    "train/arcd-train-ar",
    "train/qed-nq-dev-en",
)
XOR = "qa/xor_tydi/mia_2022_dev_xorqa.jsonl.gz"
XOR_LANGUAGES = ("ar", "bn", "fi", "ja", "ko", "ru", "te")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, default=300, help="questions per set")
    parser.add_argument("--show", action="store_true", help="print each rejected question")
    arguments = parser.parse_args()
    detector, config = LanguageDetector(), SynthesisConfig()
    print(f"{'set':<24}{'n':>5}{'false %':>9}{'copied %':>10}{'unsure %':>10}{'ms':>7}  reasons")
    for name, listed in sets(arguments.data, arguments.limit):
        start = time.process_time()
        results = [check(Answer(s.prompt, "stop"), s, config, detector) for s in listed]
        report(name, results, time.process_time() - start)
        for checked in results if arguments.show else ():
            if checked.reason not in ("", "copied"):
                print(f"    {checked.reason} [{checked.value}] {checked.question}")


def sets(data: Path, limit: int) -> Iterator[tuple[str, list[Sample]]]:
    """Yield the sets that are there, with their samples."""
    for name in SETS:
        folder = data / "retrieval" / name
        if folder.exists():
            yield name, list(samples(folder, limit))
    if (data / XOR).exists():
        rows = list(json_lines(data / XOR))
        for language in XOR_LANGUAGES:
            asked = [row["question"] for row in rows if row["lang"] == language]
            yield f"xor-tydi-{language}", [_sample(q, "", language) for q in asked[:limit]]


def report(name: str, results: list[Checked], seconds: float) -> None:
    """Print a line of the table."""
    reasons = Counter(checked.reason for checked in results if checked.reason)
    unsure = sum(checked.language_verdict == "unsure" for checked in results)
    copied = reasons["copied"]
    print(
        f"{name:<24}{len(results):>5}{(reasons.total() - copied) / len(results):>9.1%}"
        f"{copied / len(results):>10.1%}{unsure / len(results):>10.1%}"
        f"{1000 * seconds / len(results):>7.2f}  "
        + ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
    )


def samples(folder: Path, limit: int) -> Iterator[Sample]:
    """Yield questions spread over a set, in `prompt`, with their passages."""
    passages = {row["_id"]: row["text"] for row in json_lines(folder / "corpus.jsonl.gz")}
    queries = {row["_id"]: row["text"] for row in json_lines(folder / "queries.jsonl.gz")}
    with (folder / "qrels.tsv").open(encoding="utf-8") as handle:
        pairs = list(csv.DictReader(handle, delimiter="\t"))
    language = folder.name.rsplit("-", 1)[-1].replace("_", "-")
    for pair in pairs[:: max(1, len(pairs) // limit)][:limit]:
        passage, question = passages[pair["corpus-id"]], queries[pair["query-id"]]
        yield _sample(question, passage, language)


def _sample(question: str, passage: str, language: str) -> Sample:
    return Sample(
        key="", document_id="", language=language, source="", paragraph=passage,
        paragraph_start=0, paragraph_position=0.0, prompt=question, opener="",
        question_mark="", stop=[], prompt_version="",
    )  # fmt: skip


if __name__ == "__main__":
    main()
