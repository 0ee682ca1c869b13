"""The dataset card: a header that `datasets` reads, and a text that holds the counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from curation import manifest, storage
from pipelines.report import card
from pipelines.report.assemble import assemble
from pipelines.report.facts import Facts
from tests.pipelines.report import builders

COUNTS = Counter(
    {
        "in|wiki": 9,
        "documents|wiki|en": 4,
        "pairs|wiki|no|title-body": 12,
        "pairs|a_*|pt_BR|section": 3,
        "pairs|wiki|und|section": 3,
        "pairs|wiki|pt_PT|section": 3,
        "rejects|too_short|wiki|xx": 5,
    }
)


def write_out(folder: Path, **tables: Any) -> str:
    """Write folders of an output directory, and the report that the card reads."""
    for name, (part, table) in tables.items():
        path = folder / name / part
        found = storage.write_parquet(str(path), table) | {"name": part}
        manifest.publish(str(folder / name), {"fingerprint": "f"}, [found])
    report = assemble("run", "f00d", {"threefold": "1"}, COUNTS, Facts())
    storage.write_json(str(folder / "reports/curate.json"), report)
    return str(folder)


def header(text: str) -> dict[str, Any]:
    """Return the parsed YAML header of a card."""
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_datasets_loads_what_the_card_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each configuration loads offline by name with its rows; pairs are the default."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    out = write_out(
        tmp_path / "out",
        pairs=("length=0-500/part-00000.parquet", builders.pairs(20)),
        documents=("part-00000.parquet", builders.documents(7)),
    )
    card.write(out)
    assert datasets.get_dataset_config_names(out) == ["pairs", "documents", "pairs-0-500"]
    rows = {
        name: datasets.load_dataset(out, name, split="train", cache_dir=str(tmp_path / "c"))
        for name in ("pairs", "documents", "pairs-0-500")
    }
    assert {name: len(found) for name, found in rows.items()} == {
        "pairs": 20,
        "documents": 7,
        "pairs-0-500": 20,
    }
    assert set(rows["pairs"]["id"]) == set(builders.pairs(20)["id"].to_pylist())


def test_the_header_names_languages_as_strings(tmp_path: Path) -> None:
    """Norwegian is not a falsehood, underscores and `und` are no tags, each language once."""
    found = header(card.write(write_out(tmp_path)))
    assert found["language"] == ["no", "pt-BR", "pt-PT"]
    assert found["size_categories"] == ["n<1K"]
    assert found["task_categories"] == ["sentence-similarity", "text-retrieval"]
    assert found["license"] == "other"
    assert found["configs"] is None


def test_questions_and_filtered_pairs_join_the_card(tmp_path: Path) -> None:
    """Folders that other stages complete become configurations; an unfinished one does not."""
    part = ("length=0-500/part-00000.parquet", builders.pairs(3))
    out = write_out(tmp_path, pairs=part, questions=part)
    assert [c["config_name"] for c in header(card.write(out))["configs"]] == [
        "pairs",
        "questions",
        "pairs-0-500",
    ]
    (tmp_path / "questions/_SUCCESS").unlink()
    write_out(tmp_path, **{"consistent-pairs": part})
    found = header(card.write(out))["configs"]
    assert [c["config_name"] for c in found] == ["pairs", "consistent-pairs", "pairs-0-500"]
    assert [c.get("default") for c in found] == [True, None, None]


def test_the_text_holds_counts_and_versions(tmp_path: Path) -> None:
    """Tables by relation and source; a name that is markup is escaped."""
    text = card.write(write_out(tmp_path))
    assert "| title-body | 12 | 1 |" in text
    assert "| a\\_\\* | 0 | 3 | 0 |" in text
    assert "| wiki | 4 | 18 | 5 |" in text
    assert "`f00d`" in text
    assert "threefold 1" in text
    assert (tmp_path / "README.md").read_text() == text


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (2500000, "1M<n<10M"),
        (10**9, "1B<n<10B"),
        (10**12, "n>1T"),
    ],
)
def test_size_categories(rows: int, name: str) -> None:
    assert card._size_category(rows) == name
