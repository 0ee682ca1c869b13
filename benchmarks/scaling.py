"""How `curate` grows with its input, and whether workers and files show in its output.

    python benchmarks/scaling.py --megabytes 200 --scales 1 3 10 --workers 1 2 --pieces 1 7 50

reads the corpora of THREEFOLD_DATA, writes inputs of 200 MB, 600 MB and 2 GB of text, curates
each with one worker, the smallest with two workers and in 1, 7 and 50 files per corpus as well,
and prints a table, a JSON line per run and whether all digests that must be equal are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import process_tree, scaling_input  # noqa: E402

OUTPUTS = ("documents", "pairs", "rejects/curate")
HEADER = ("run", "MB", "records", "rec/s", "wall s", "CPU s", "peak MB", "largest MB")


@dataclass(frozen=True)
class Case:
    """One run: so many units in so many files, by so many workers."""

    scale: int
    workers: int
    pieces: int
    megabytes: float

    @property
    def name(self) -> str:
        return f"{self.scale}x {self.workers}w {self.pieces}f"


def main() -> None:
    arguments = parse()
    data = Path(os.environ.get("THREEFOLD_DATA", ROOT.parent / "shared/data"))
    work = Path(arguments.work or tempfile.mkdtemp(prefix="scaling-"))
    rows, digests = [], {}
    for case in cases(arguments):
        folder = work / f"input-{case.megabytes:g}mb-{case.pieces}f"
        scaling_input.write_units(data, folder, case.scale, case.megabytes, case.pieces)
        row, digest = run(case, folder, work, arguments)
        rows.append(row)
        digests.setdefault(case.scale, {})[case.name] = digest
        print(json.dumps(row), flush=True)
    show(rows)
    judge(rows, digests)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=200.0, help="text of a 1x input")
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pieces", type=int, nargs="+", default=[1, 7, 50])
    parser.add_argument("--encoder", default="pypi:multilingual-e5-small", help="model.encoder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", help="folder for inputs and outputs, kept for the next run")
    arguments = parser.parse_args()
    if not all(1 <= scale <= 10 for scale in arguments.scales):
        parser.error("--scales take 1 to 10")
    if not all(1 <= pieces <= scaling_input.MOST_PIECES for pieces in arguments.pieces):
        parser.error(f"--pieces take 1 to {scaling_input.MOST_PIECES}")
    return arguments


def cases(arguments: argparse.Namespace) -> list[Case]:
    first, *more = arguments.workers
    size = arguments.megabytes
    smallest = min(arguments.scales)
    return [
        *(Case(scale, first, arguments.pieces[0], size) for scale in arguments.scales),
        *(Case(smallest, workers, arguments.pieces[0], size) for workers in more),
        *(Case(smallest, first, pieces, size) for pieces in arguments.pieces[1:]),
    ]


def run(
    case: Case, folder: Path, work: Path, arguments: argparse.Namespace
) -> tuple[dict[str, Any], str]:
    """Curate once; return the row of the table and the digest of all parts."""
    out = work / f"out-{case.name.replace(' ', '-')}"
    shutil.rmtree(out, ignore_errors=True)
    units = f"unit-0[0-{case.scale - 1}]"
    sources = (
        f'[{{kind="wikipedia", path="{folder}/{units}/wiki-*.xml.gz"}}, '
        f'{{kind="c4", path="{folder}/{units}/pages-*.json.gz"}}]'
    )
    settings = [
        f"curation.sources={sources}",
        f"runner.workers={case.workers}",
        f"model.encoder={json.dumps(arguments.encoder)}",
        *arguments.set,
    ]
    empty = work / "empty.toml"
    empty.touch()
    command = [sys.executable, "-m", "pipelines", "curate", "--config", str(empty)]
    command += ["--out", str(out), *(part for s in settings for part in ("--set", s))]
    os.chdir(ROOT)
    usage = process_tree.measure(command)
    if usage.code:
        sys.exit(usage.output)
    return row_of(case, out, usage), digest_of(out)


def row_of(case: Case, out: Path, usage: process_tree.Usage) -> dict[str, Any]:
    found = re.search(r"curate: read ([\d,]+) records", usage.output)
    records = int(found[1].replace(",", "")) if found else 0
    documents = json.loads((out / "documents/manifest.json").read_text())["rows"]
    return {
        "run": case.name,
        "MB": case.megabytes * case.scale,
        "records": records,
        "documents": documents,
        "rec/s": records / usage.wall,
        "wall s": usage.wall,
        "CPU s": usage.cpu,
        "peak MB": usage.peak_bytes / 1e6,
        "largest MB": usage.peak_largest / 1e6,
    }


def digest_of(out: Path) -> str:
    """Return one digest of the names and digests of all parts."""
    parts = [
        f"{name}/{part['name']} {part['sha256']}"
        for name in OUTPUTS
        for part in json.loads((out / name / "manifest.json").read_text())["parts"]
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def show(rows: list[dict[str, Any]]) -> None:
    print("  ".join(name.rjust(11) for name in HEADER))
    for row in rows:
        cells = (row[name] if name == "run" else f"{row[name]:,.1f}" for name in HEADER)
        print("  ".join(cell.rjust(11) for cell in cells))


def judge(rows: list[dict[str, Any]], digests: dict[int, dict[str, str]]) -> None:
    """Print the ratios that matter and the digests; exit with 1 where equal ones differ."""
    first = rows[0]
    for row in rows[1:]:
        scale = row["MB"] / first["MB"]
        ratios = {key: row[key] / first[key] for key in ("CPU s", "wall s", "peak MB")}
        print(
            f"{row['run']} against {first['run']}: per MB CPU {ratios['CPU s'] / scale:.2f}, "
            f"wall {ratios['wall s'] / scale:.2f}; peak memory {ratios['peak MB']:.2f}"
        )
    for scale, found in digests.items():
        same = len(set(found.values())) == 1
        print(f"{scale}x: {'one digest' if same else 'DIFFERENT DIGESTS'}: {found}")
        if not same:
            sys.exit(1)


if __name__ == "__main__":
    main()
