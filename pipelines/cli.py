"""The command line. Nothing heavy is imported before a command runs: `--help` is instant."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from curation.errors import ThreefoldError
from pipelines.commands import search_arguments
from pipelines.terminal import say
from train.stopping import Stopped

DEFAULT_CONFIG = str(Path(__file__).with_name("configs") / "demo.toml")

# command: (module, one line for the list, what the help says)
COMMANDS = {
    "curate": (
        "pipelines.commands.curate",
        "raw corpora → documents and title-body, title-abstract, section and parallel pairs",
        (
            "Reads every [[curation.sources]] of the config, cleans and identifies the text,\n"
            "drops what the filters reject and exact duplicates; writes OUT/documents, OUT/pairs\n"
            "(in buckets by token length) and OUT/rejects/curate with a reason for each row."
        ),
    ),
    "filter-pairs": (
        "pipelines.commands.filter_pairs",
        "pairs → those whose positive an encoder ranks among the best for its query (optional)",
        (
            "With relevance.enabled: ranks each positive of OUT/pairs for its query in a random\n"
            "pool and writes OUT/pair-ranks, OUT/consistent-pairs (rank, score as columns) and\n"
            "OUT/rejects/filter-pairs. Later stages then read these pairs instead of all."
        ),
    ),
    "synth": (
        "pipelines.commands.synth",
        "documents → questions written by an LLM, checked",
        (
            "Draws documents of OUT/documents, picks a paragraph of each at random, has an\n"
            "OpenAI-compatible model write a question, checks it and writes OUT/questions.\n"
            "Answers are kept in OUT/responses: a rerun asks only for what is missing."
        ),
    ),
    "mine-negatives": (
        "pipelines.commands.mine",
        "pairs and questions → training rows with hard negatives, in length-sorted shards",
        (
            "Encodes queries and passages with the model to be trained, finds candidates (dense,\n"
            "sparse, BM25 or several), removes positives, their duplicates, translations and near\n"
            "texts, keeps below the margins, searches deeper for starved rows, and writes\n"
            "OUT/training with ids, ranks, scores and sources, and reports/mine-negatives.html.\n"
            "All keys: python -m pipelines options mining; docs/mining.md explains them."
        ),
    ),
    "train": (
        "pipelines.commands.train",
        "training rows → an M3 checkpoint (dense, sparse, multi-vector)",
        (
            "Trains all three heads with self-knowledge distillation on batches of one length\n"
            "bucket and writes OUT/model in BGE-M3 layout. A killed run goes on where it was saved."
        ),
    ),
    "refresh": (
        "pipelines.commands.refresh",
        "newest checkpoint of a running training → fresh negatives for it (optional: ance.mode)",
        (
            "Follows a training whose config has ance.mode = 'follow': encodes, searches and\n"
            "publishes negatives with each new checkpoint, until the training has ended."
        ),
    ),
    "evaluate": (
        "pipelines.commands.evaluate",
        "checkpoint → nDCG@10 and Recall@100 per head and hybrid, before and after training",
        (
            "Evaluates the run's model and every [[evaluation.models]] of the config on every\n"
            "[[evaluation.sets]] and writes OUT/metrics: means with intervals, tests, TREC runs\n"
            "and judgements. With --model it evaluates any checkpoint or encoder folder instead."
        ),
    ),
    "ablate": (
        "pipelines.commands.ablate",
        "variants of a config, several seeds each → tables of what makes a difference",
        (
            "Trains and evaluates every arm of [[ablate.arms]] with each of ablate.seeds, in\n"
            "OUT/runs/ARM/seed-N; data and mined rows that arms have in common are made once, in\n"
            "OUT/shared. Finished runs are passed over. Writes OUT/ablation: tables with\n"
            "intervals, the paper's beside them."
        ),
    ),
    "export": (
        "pipelines.commands.export",
        "checkpoint → ONNX with three outputs, or a folder for sentence-transformers",
        (
            "Writes FOLDER/onnx (dense, token weights, token vectors; any batch and length) or\n"
            "FOLDER/sentence-transformers (dense, with pooling and prompts), compares its vectors\n"
            "with this program's and prints the largest difference; more than 1e-4 is an error."
        ),
    ),
    "index": (
        "pipelines.commands.index",
        "a corpus and a checkpoint → a dense, sparse and multi-vector index on disk",
        (
            "Encodes JSON lines, Parquet or BEIR corpora with all three heads and writes a\n"
            "memory-mapped index. A killed run goes on where it was; unchanged parts stay."
        ),
    ),
    "search": (
        "pipelines.commands.search",
        "an index and a query → passages with the score of each head and the shared tokens",
        "Searches an index that `index` wrote: one query, or a file of them.",
    ),
    "serve": (
        "pipelines.commands.serve",
        "an index → a local search page and JSON API",
        (
            "GET / is a page without scripts; GET /api/search?q=...&mode=...&language=...&top=...\n"
            "and POST /api/search (a query as JSON, or a list) and GET /api/info answer in JSON."
        ),
    ),
    "export-rows": (
        "pipelines.commands.export_rows",
        "training rows → FlagEmbedding, sentence-transformers or TREC files",
        (
            "Reads OUT/training of a run and writes FlagEmbedding's JSON lines, the triplets,\n"
            "n-tuples or labelled lists of sentence-transformers, or a TREC run or its qrels\n"
            "to OUT/exports. A name that ends in .gz is compressed."
        ),
    ),
    "demo": (
        "pipelines.commands.demo",
        "all of the above, one after the other",
        (
            "Runs curate, synth, mine-negatives, train and evaluate on one config and ends with a\n"
            "table. Stages that are up to date are passed over."
        ),
    ),
    "options": (
        "pipelines.commands.options",
        "every key of the config with its meaning and default",
        "Lists the keys of a config file. Name a section to see only that: options train.loss",
    ),
}

_EPILOG = """\
a config is a TOML file; ready ones are in pipelines/configs. Any key can be set on the command
line, in TOML notation:  --set train.epochs=2 --set 'curation.sources.0.path="dump.xml.bz2"'
See all keys with: python -m pipelines options
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines",
        description="From raw multilingual corpora to a trained, evaluated M3 embedding model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, summary, description) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=description,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == "options":
            command.add_argument("section", nargs="?", default="", help="as train or train.loss")
        elif name == "export":
            _add_export(command)
        elif name in ("index", "search", "serve"):
            getattr(search_arguments, f"add_{name}")(command)
        elif name == "export-rows":
            _add_export_rows(command)
        else:
            _add_common(command)
        if name == "evaluate":
            _add_evaluate(command)
        if name == "synth":
            _add_synth(command)
    return parser


def _add_synth(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--batch",
        choices=("submit", "status", "collect", "write"),
        help="ask through a Batch API at half price: submit what is missing, show status, collect "
        "the answers into the log; write: only files, for vllm run-batch",
    )
    command.add_argument(
        "--batch-output",
        metavar="GLOB",
        help="with --batch collect: read these output files of vllm run-batch",
    )
    command.add_argument(
        "--preview",
        type=int,
        metavar="N",
        help="ask for N questions, print prompts, answers and verdicts, and stop",
    )


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", default=DEFAULT_CONFIG, metavar="FILE", help="TOML file (default: the demo's)"
    )
    command.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a config key, as train.epochs=2; repeatable",
    )
    command.add_argument("--out", metavar="DIR", help="where to write (the config's `out`)")
    command.add_argument(
        "--print-config", action="store_true", help="print the merged config and stop"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="say what would be read and written, and stop"
    )
    command.add_argument(
        "beam", nargs="*", metavar="-- BEAM_OPTION", help="runner options, passed on to Beam"
    )


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        action="append",
        metavar="[NAME=]FOLDER",
        help="evaluate this checkpoint or encoder folder instead of the run's; repeatable",
    )
    command.add_argument(
        "--sets",
        action="append",
        metavar="GLOB",
        help="BEIR folders to evaluate on instead of the config's sets; repeatable",
    )
    command.add_argument(
        "--compare",
        nargs="+",
        metavar="FILE",
        help="a file of judgements and two or more TREC run files: print their table and stop",
    )


def _add_export(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", metavar="FOLDER", help="a checkpoint, as OUT/model")
    command.add_argument("--to", choices=("onnx", "sentence-transformers"), required=True)
    command.add_argument("--output", metavar="DIR", help="where to write (default: in FOLDER)")


def _add_export_rows(command: argparse.ArgumentParser) -> None:
    from pipelines.row_exports import N_TUPLES, NAMES

    command.add_argument("folder", metavar="OUT", help="the folder of a run")
    command.add_argument("--to", choices=NAMES, required=True)
    command.add_argument(
        "--negatives", type=int, default=0, metavar="N", help=f"with --to {N_TUPLES}: as many each"
    )
    command.add_argument("--output", metavar="FILE", help="where to write (default: OUT/exports)")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit status.

    2: an error that the user can mend; 3: a budget is spent.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, beam = _split_at_dashes(given)
    parsed = build_parser().parse_args(own)
    if getattr(parsed, "beam", None):
        build_parser().error(f"unexpected argument {parsed.beam[0]!r}; runner options go after --")
    parsed.beam = beam
    module, _, _ = COMMANDS[parsed.command]
    _set_environment()
    try:
        run: Callable[[argparse.Namespace], int] = import_module(module).main
        return run(parsed)
    except ThreefoldError as error:
        say(f"{parsed.command}: error: {error}", sys.stderr)
        return error.exit_status
    except Stopped as stopped:
        say(f"{parsed.command}: {stopped}; run it again to go on")
        return 0
    except BrokenPipeError:  # the reader of our output, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{parsed.command}: interrupted; run it again to go on\n")
        return 130


def _split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _set_environment() -> None:
    """Set what libraries read when they are imported, in this process and its workers."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # workers are processes already
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
