"""Redirects of a dump become pairs with their articles, however the dump is cut."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curation import storage
from curation.config import CurationConfig, SourceConfig
from curation.pairs import PairConfig
from curation.splitting import list_splits
from pipelines.commands import curate
from pipelines.config import RunConfig
from tests.builders import articles, dump_xml, page_xml
from tests.command_line import digests
from train.config import ModelConfig

ARTICLES = articles("en", 30)
NAMES = [article["title"] for article in ARTICLES]


def redirect_xml(title: str, target: str, number: int) -> str:
    return page_xml(title, f"#REDIRECT [[{target}]]", number).replace(
        "<ns>", f'<redirect title="{target.partition("#")[0]}"/><ns>'
    )


def dump() -> str:
    pages = [page_xml(a["title"], a["text"], i) for i, a in enumerate(ARTICLES)]
    odd = {
        "The old light": NAMES[3],
        "Old light of Bel": NAMES[3].lower(),  # the first letter's case does not matter
        NAMES[4].upper(): NAMES[4],
        "E 1234": NAMES[4],
        "A beach nearby": f"{NAMES[5]}#Beach",
        "Its project page": "Wikipedia:Lights",
        "Nowhere": "A missing page",
        "Short": "Stub",
        "Twin light": "Twin",
    }
    odd |= {f"Name number {word}": NAMES[6] for word in ("one", "two", "three", "four", "five")}
    pages += [redirect_xml(title, to, 500 + i) for i, (title, to) in enumerate(odd.items())]
    pages.insert(9, redirect_xml("First of all", NAMES[29], 900))
    pages += [page_xml("Stub", "Too short.", 700), page_xml("Twin", ARTICLES[0]["text"], 701)]
    return dump_xml(pages)


@pytest.fixture(scope="module")
def dump_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dump") / "enwiki.xml"
    path.write_text(dump())
    return path


def run(path: Path, out: Path, encoder: str, split_mb: float = 64, **pairs: Any) -> None:
    config = RunConfig(
        out=str(out),
        model=ModelConfig(encoder=encoder),
        curation=CurationConfig(
            sources=(SourceConfig(kind="wikipedia", path=str(path)),),
            pairs=PairConfig(relations=("title-body",), **pairs),
            split_mb=split_mb,
            part_mb=0.01,
        ),
    )
    splits = list_splits(config.curation)
    assert (len(splits) > 5) == (split_mb < 1)
    curate.run(config, splits, [])


def rows(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.rglob("*.parquet"))
    return [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]


def reasons(out: Path) -> Counter[str]:
    return Counter(row["reason"] for row in rows(out / "rejects" / "curate"))


@pytest.fixture(scope="module")
def finished(dump_path: Path, tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    run(dump_path, out, tiny_encoder)
    return out


def test_redirects_are_titles_of_their_article(finished: Path) -> None:
    """Each gives a pair with the article's text, wherever the two lie in the dump."""
    pairs = {row["query"]: row for row in rows(finished / "pairs")}
    texts = {row["title"]: row["text"] for row in rows(finished / "documents")}
    for title, target in (
        ("The old light", NAMES[3]),
        ("Old light of Bel", NAMES[3]),
        ("First of all", NAMES[29]),
    ):
        pair = pairs[title]
        assert pair["positive"] == pairs[target]["positive"] == texts[target]
        assert (pair["relation"], pair["language"]) == ("title-body", "en")
        assert pair["document_id"] == pairs[target]["document_id"]


def test_every_redirect_is_a_pair_or_a_reject(finished: Path) -> None:
    """Nothing vanishes: 15 redirects, six of them pairs, nine rejects with their reason."""
    queries = {row["query"] for row in rows(finished / "pairs")}
    assert len(queries - set(NAMES)) == 6
    assert sum("number" in query for query in queries) == 3
    found = reasons(finished)
    assert {name: n for name, n in found.items() if name.startswith("redirect")} == {
        "redirect_is_variant": 1,
        "redirect_is_code": 1,
        "redirect_to_section": 1,
        "redirect_to_namespace": 1,
        "redirect_without_article": 1,
        "redirect_to_dropped": 2,
        "redirect_over_limit": 2,
    }


def test_the_report_counts_them(finished: Path) -> None:
    """Rejects of the join are in the stage's counts."""
    counts = storage.read_json(str(finished / "reports" / "curate.json"))["counts"]
    assert counts["rejects|redirect_without_article|wikipedia|en"] == 1
    assert counts["rejects|redirect_over_limit|wikipedia|en"] == 2


def test_the_split_changes_no_byte(
    finished: Path, dump_path: Path, tiny_encoder: str, tmp_path: Path
) -> None:
    """One split or many: the same parts."""
    run(dump_path, tmp_path, tiny_encoder, split_mb=0.0015)
    for folder in ("documents", "pairs", "rejects/curate"):
        assert parts(tmp_path / folder) == parts(finished / folder)


def parts(folder: Path) -> dict[str, str]:
    return {name: value for name, value in digests(folder).items() if name.endswith(".parquet")}


def test_redirects_can_be_left_out(dump_path: Path, tiny_encoder: str, tmp_path: Path) -> None:
    """Without them there are the articles' own titles only, and no reject of the join."""
    run(dump_path, tmp_path, tiny_encoder, redirects_per_document=0)
    assert {row["query"] for row in rows(tmp_path / "pairs")} <= {*NAMES, "Twin"}
    assert "redirect_without_article" not in reasons(tmp_path)


def test_redirects_are_there_for_a_later_run(
    finished: Path, dump_path: Path, tiny_encoder: str, tmp_path: Path
) -> None:
    """A run that used none leaves them among the stored records: the next one decides anew."""
    run(dump_path, tmp_path, tiny_encoder, redirects_per_document=0)
    run(dump_path, tmp_path, tiny_encoder)
    assert parts(tmp_path / "pairs") == parts(finished / "pairs")


def test_pairs_of_other_relations_need_no_redirects() -> None:
    """Redirects are titles: without title-body they are not gathered."""
    config = PairConfig(relations=("title-abstract",))
    assert not config.uses_redirects
    assert dataclasses.replace(config, relations=("title-body",)).uses_redirects
