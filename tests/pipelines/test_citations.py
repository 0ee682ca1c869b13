"""Citations through the whole of curate: the join is by id, whatever file a paper is in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.builders import TOPICS
from tests.command_line import run

PAPERS = 12


def papers() -> list[dict[str, Any]]:
    """Twelve papers, each citing the next two, one that is not there and itself."""
    return [
        {
            "corpusid": i,
            "title": f"The lighthouses of region {i}",
            "abstract": f"{TOPICS['en'].format(f'Region {i}', 1800 + i)} Paper {i} counts them."
            if i != 5
            else None,
            "outbound_citations": [i, (i + 1) % PAPERS, (i + 2) % PAPERS, 1000],
        }
        for i in range(PAPERS)
    ]


def curate(folder: Path, encoder: str, files: int) -> dict[str, Any]:
    """Run curate on the papers in so many files; return the rows of the parts by their path."""
    (folder / "in").mkdir(parents=True)
    for number in range(files):
        lines = [json.dumps(row) + "\n" for row in papers()[number::files]]
        (folder / "in" / f"p{number}.jsonl").write_text("".join(lines))
    config = folder / "run.toml"
    config.write_text(
        f'out = "{folder}/out"\n[model]\nencoder = "{encoder}"\n[[curation.sources]]\n'
        f'kind = "s2orc"\npath = "{folder}/in/*.jsonl"\nlanguage = "en"\n'
    )
    result = run("curate", "--config", config)
    assert result.code == 0, result.err
    parts = sorted((folder / "out").glob("**/*.parquet"))
    return {str(p.relative_to(folder / "out")): pq.read_table(p).to_pylist() for p in parts}


def rows_of(parts: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [row for path, rows in parts.items() if path.startswith(kind) for row in rows]


@pytest.fixture(scope="module")
def parts(tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return curate(tmp_path_factory.mktemp("one"), tiny_encoder, 1)


def test_citations_become_pairs(parts: dict[str, Any]) -> None:
    """Every citation of a paper with an abstract, and no other; a paper without one cites."""
    pairs = rows_of(parts, "pairs")
    cited = {
        (r["query_document_id"], r["document_id"]) for r in pairs if r["relation"] == "citation"
    }
    wanted = {(i, (i + k) % PAPERS) for i in range(PAPERS) for k in (1, 2)}
    assert cited == {(f"s2orc:{a}", f"s2orc:{b}") for a, b in wanted if b != 5}
    assert sum(r["relation"] == "title-abstract" for r in pairs) == PAPERS - 1
    assert all(r["query_tokens"] > 0 for r in pairs)


def test_what_is_not_there_is_counted(parts: dict[str, Any]) -> None:
    """One reject for each paper that is not there: nobody has it, or it has no abstract."""
    found = {r["id"]: (r["reason"], r["value"]) for r in rows_of(parts, "rejects")}
    assert found["s2orc:1000#citation"] == ("cited_paper_absent", "12")
    assert found["s2orc:5#citation"] == ("cited_paper_absent", "2")
    assert found["s2orc:5"] == ("missing_abstract", "The lighthouses of region 5")


def test_the_split_of_the_input_changes_nothing(
    parts: dict[str, Any], tiny_encoder: str, tmp_path: Path
) -> None:
    """Papers and the papers that they cite may lie in different files."""
    assert curate(tmp_path, tiny_encoder, 3) == parts
    assert not list((tmp_path / "out").glob(".work*"))
