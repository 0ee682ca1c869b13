"""What `index`, `search` and `serve` take on the command line."""

from __future__ import annotations

import argparse

from train.watch import MODES


def add_index(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `index`."""
    command.add_argument(
        "--corpus",
        nargs="+",
        required=True,
        metavar="FILES",
        help="JSON lines, Parquet, or folders of these (BEIR: corpus.jsonl); globs are expanded",
    )
    command.add_argument(
        "--model", required=True, metavar="FOLDER", help="a checkpoint, as OUT/model; or a hub name"
    )
    command.add_argument("--to", required=True, metavar="INDEX", help="the index's folder")
    command.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a key of [model], as query_prompt='query: ' or mcls_tokens=256; repeatable",
    )
    command.add_argument(
        "--language",
        default="",
        metavar="CODE",
        help="of passages that name none (else identified)",
    )
    command.add_argument(
        "--no-vectors",
        action="store_true",
        help="keep no token vectors: a tenth of the size, without the modes multi-vector and all",
    )
    command.add_argument(
        "--dense-index",
        default="auto",
        metavar="FACTORY",
        help="auto (exact up to 50,000 passages, then HNSW) or a FAISS factory string",
    )
    command.add_argument(
        "--dtype",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="the encoder's arithmetic; auto: bf16 where it is faster and exact enough",
    )
    command.add_argument(
        "--store", choices=("fp16", "fp32"), default="fp16", help="precision of dense vectors"
    )
    command.add_argument(
        "--batch-tokens", type=int, default=4096, metavar="N", help="tokens encoded at once"
    )


def add_search(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `search`."""
    command.add_argument("index", metavar="INDEX", help="a folder that `index` wrote")
    command.add_argument("query", nargs="?", default="", metavar="QUERY", help="what to look for")
    command.add_argument(
        "--queries",
        metavar="FILE",
        help="instead: one query a line, or JSON lines with `query` (or `text`) and perhaps "
        "`language`; - reads standard input",
    )
    command.add_argument(
        "--mode", choices=MODES, default="", help="default: all, or dense+sparse without vectors"
    )
    command.add_argument("--language", default="", metavar="CODE", help="only passages in this one")
    command.add_argument("--top", type=int, default=10, metavar="N", help="results of a query")
    command.add_argument("--json", action="store_true", help="print a JSON object for each query")
    _add_asking(command)


def add_serve(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve`."""
    command.add_argument("index", metavar="INDEX", help="a folder that `index` wrote")
    command.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine alone)"
    )
    command.add_argument("--port", type=int, default=8080, help="0: any free one")
    _add_asking(command)


def _add_asking(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model", default="", metavar="FOLDER", help="where the index's model is, if it has moved"
    )
    command.add_argument(
        "--rerank-depth", type=int, default=200, metavar="N", help="dense's best that are re-ranked"
    )
    command.add_argument(
        "--union-depth",
        type=int,
        default=1000,
        metavar="N",
        help="each head's best that dense+sparse looks at",
    )
    command.add_argument(
        "--weights",
        nargs=3,
        type=float,
        default=(1.0, 0.3, 1.0),
        metavar=("DENSE", "SPARSE", "VECTORS"),
        help="of the heads in sums (default: 1 0.3 1; for long documents 0.15 0.5 0.35)",
    )
