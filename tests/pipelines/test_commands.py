"""What commands show and depend on: listings, tables, progress, encoders, options."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from huggingface_hub.utils import filter_repo_objects

from curation.errors import InputError
from curation.splitting import Split
from pipelines.commands import curate
from pipelines.commands.options import walk
from pipelines.config import RunConfig, load
from pipelines.encoders import EXPORTS, FILES, PICKLES, describe_encoder, encoder_folder
from pipelines.terminal import State
from pipelines.work import Tally, Workspace
from tests.command_line import run


def test_the_summary_lists_sources_and_languages() -> None:
    """Documents, pairs and rejects by source and language; the largest of a source first."""
    counts = Counter(
        {
            "in|wiki": 99,
            "documents|wiki|en": 5,
            "documents|wiki|fr": 1200,
            "pairs|wiki|fr|section": 3,
            "pairs|wiki|fr|title-body": 4,
            "rejects|too_short|wiki|fr": 2,
            "rejects|http_status|news|": 1,
        }
    )
    assert [line.split() for line in curate.summary_table(counts).splitlines()[2:]] == [
        ["news", "0", "0", "1"],
        ["wiki", "fr", "1,200", "7", "2"],
        ["wiki", "en", "5", "0", "0"],
    ]


def test_a_long_summary_is_cut() -> None:
    """Beyond forty rows the report file is named."""
    counts = Counter({f"documents|wiki|l{i:02d}": 1 for i in range(45)})
    lines = curate.summary_table(counts).splitlines()
    assert len(lines) == 2 + 40 + 1
    assert lines[-1] == "… and 5 more in reports/curate.json"


def test_progress_follows_the_status_files(tmp_path: Path) -> None:
    """Bytes read make three quarters of the share; parts that are written the rest."""
    workspace = Workspace(str(tmp_path))
    both = workspace, workspace
    splits = [Split(0, "a", 300), Split(0, "b", 100)]
    assert curate.progress_state(*both, splits) == State(0.0, 0, "0/2 splits")
    tally = Tally(workspace, "extract", splits[0].element)
    tally.add("in", "wiki", count=30)
    tally.add("rejects", "too_short", "wiki", "en", count=9)
    tally.tick(0.5)
    rejected = "  rejected 9: too_short 9"
    expected = State(150 / 400 * 0.75, 30, f"0/2 splits{rejected}")
    assert curate.progress_state(*both, splits) == expected
    tally.finish()
    Tally(workspace, "extract", splits[1].element).finish()
    assert curate.progress_state(*both, splits) == State(0.75, 30, f"2/2 splits{rejected}")
    Tally(workspace, "write-documents", "part").finish()
    assert curate.progress_state(*both, splits).share == pytest.approx(0.9)
    Tally(workspace, "write-pairs", "part").finish()
    assert curate.progress_state(*both, splits).share == pytest.approx(1.0)


def test_progress_names_the_most_frequent_reasons(tmp_path: Path) -> None:
    """Rejects of all steps add up, finished or not; beyond three reasons the rest is hinted at."""
    workspace, splits = Workspace(str(tmp_path)), [Split(0, "a", 300)]
    extract = Tally(workspace, "extract", splits[0].element)
    for reason, count in (("too_short", 1200), ("no_title", 30), ("fuzzy", 2)):
        extract.add("rejects", reason, "wiki", "en", count=count)
    extract.tick(0.5)
    shown = curate.progress_state(workspace, workspace, splits).remark
    assert shown == "0/1 splits  rejected 1,232: too_short 1,200, no_title 30, fuzzy 2"
    written = Tally(workspace, "write-pairs", "part")
    written.add("rejects", "duplicate_pair", "wiki", "en", count=31)
    written.finish()
    shown = curate.progress_state(workspace, workspace, splits).remark
    assert shown == (
        "0/1 splits  rejected 1,263: too_short 1,200, duplicate_pair 31, no_title 30, …"
    )


def test_curation_depends_on_files_config_and_thresholds(tmp_path: Path) -> None:
    """A touched source or thresholds file changes the fingerprint, other sections do not."""
    source, bounds = tmp_path / "a.jsonl", tmp_path / "bounds.toml"
    source.write_text("{}")
    bounds.write_text("version = '1'\n[default]\n")

    def fingerprint(*overrides: str) -> str:
        kept = [
            f"curation.sources=[{{kind='c4', path='{source}'}}]",
            f"curation.thresholds={bounds}",
        ]
        return curate.stage_for(load(None, [*kept, *overrides])).fingerprint

    first = fingerprint()
    assert fingerprint("train.epochs=3", "runner.workers=2", "out=x") == first
    assert fingerprint("curation.part_mb=3") != first
    assert fingerprint("model.encoder=y") != first
    bounds.write_text("version = '1'\n[default]\nmin_words = 3\n")
    second = fingerprint()
    source.write_text("{} ")
    assert len({first, second, fingerprint()}) == 3


def test_scores_depend_on_no_decision(tmp_path: Path) -> None:
    """Keys that only decide leave the scored documents valid; all others do not."""
    source, bounds, words = (tmp_path / name for name in ("a.jsonl", "bounds.toml", "words.toml"))
    for path in (source, bounds, words):
        path.write_text("")

    def fingerprints(*overrides: str) -> tuple[str, str]:
        config = load(None, [f"curation.sources=[{{kind='c4', path='{source}'}}]", *overrides])
        return curate.extraction_for(config).fingerprint, curate.stage_for(config).fingerprint

    scores, decided = fingerprints()
    for decision in (
        f"curation.thresholds={bounds}",
        "curation.min_language_score=0.9",
        "curation.pairs.max_title_frequency=3",
        "curation.pairs.redirects_per_document=0",
        "curation.part_mb=3",
        f"curation.sources=[{{kind='c4', path='{source}', priority=1}}]",
    ):
        assert fingerprints(decision)[0] == scores
        assert fingerprints(decision)[1] != decided
    for setting in (
        "curation.mask_pii=true",
        f"curation.word_lists={words}",
        "curation.max_document_characters=9",
        f"curation.sources=[{{kind='c4', path='{source}', sample=0.5}}]",
    ):
        assert fingerprints(setting)[0] != scores
    assert fingerprints("curation.keep_scores=false") == (scores, decided)


def test_a_missing_thresholds_file_is_an_error(tmp_path: Path) -> None:
    """It is named before any work."""
    (tmp_path / "a.jsonl").write_text("{}")
    result = run(
        *("curate", "--out", tmp_path / "out"),
        *("--set", f"curation.sources=[{{kind='c4', path='{tmp_path}/a.jsonl'}}]"),
        *("--set", "curation.thresholds=/none.toml"),
    )
    assert result.code == 2
    assert result.err.startswith("curate: error: no file matches '/none.toml'")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["", "/no/such", "./x", "one", "a/b/c"])
def test_an_encoder_that_is_nowhere_is_named(name: str) -> None:
    """What is neither a folder nor a hub name is an error with its value."""
    with pytest.raises(InputError) as caught:
        encoder_folder(name)
    assert str(caught.value) == (
        f"model.encoder = {name!r} is no folder, and no hub name (owner/name)"
    )


def test_a_hub_name_that_cannot_be_fetched_is_an_input_error() -> None:
    """Without network (HF_HUB_OFFLINE) the message keeps the name and the reason."""
    with pytest.raises(InputError, match=r"model\.encoder = 'nobody/nothing' cannot be fetched: "):
        encoder_folder("nobody/nothing")


def test_a_hub_folder_is_fetched_without_other_programs_files() -> None:
    """BAAI/bge-m3's listing: heads and tokenizer always, its pickle of weights in a second call."""
    listing = ["config.json", "tokenizer.json", "sentencepiece.bpe.model", "pytorch_model.bin"]
    listing += ["sparse_linear.pt", "colbert_linear.pt", "onnx/model.onnx", "onnx/config.json"]
    listing += ["README.md", "imgs/mkqa.jpg", "1_Pooling/config.json"]
    chosen = [
        list(filter_repo_objects(listing, allow_patterns=wanted, ignore_patterns=EXPORTS))
        for wanted in (FILES, PICKLES)
    ]
    heads = ["sparse_linear.pt", "colbert_linear.pt"]
    assert chosen == [[*listing[:3], *heads], ["pytorch_model.bin"]]


def test_a_folder_is_found_through_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables and ~ in a path are expanded; weights identify the folder."""
    monkeypatch.setenv("MODELS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").mkdir()
    for name in ("b.pt", "model.safetensors", "config.json"):
        (tmp_path / "m" / name).write_bytes(b"xyz")
    assert encoder_folder("$MODELS/m") == encoder_folder("~/m") == str(tmp_path / "m")
    found = describe_encoder(str(tmp_path / "m"))
    assert [(Path(str(item["path"])).name, item["bytes"]) for item in found] == [
        ("model.safetensors", 3),
        ("b.pt", 3),
    ]


def test_options_lists_every_key_with_a_text() -> None:
    """No key without its meaning: the listing is the reference."""
    lines = run("options").out.splitlines()
    keys = [i for i, line in enumerate(lines) if " = " in line and not line.startswith(" ")]
    assert len(keys) > 80
    assert [lines[i] for i in keys if not lines[i + 1 : i + 2][0].startswith("    ")] == []
    assert {f"[{name}]" for name, _ in walk(RunConfig, "") if name} <= set(lines)


@pytest.mark.parametrize(
    ("section", "shown", "line"),
    [
        (
            "train",
            ["[train]", "[train.stages]", "[train.batching]", "[train.loss]"],
            "batch_tokens = 16384",
        ),
        ("train.loss", ["[train.loss]"], 'heads = ["dense", "sparse", "multi_vector"]'),
        ("runner", ["[runner]"], "workers = 1"),
        (
            "evaluation",
            ["[evaluation]", "[evaluation.sets]", "[evaluation.models]"],
            'kind = "beir"',
        ),
        ("curation.sources", ["[curation.sources]"], "language = unset"),
        ("model", ["[model]"], 'pooling = "cls"'),
        (
            "train",
            ["[train]", "[train.stages]", "[train.batching]", "[train.loss]"],
            'memory = "cache"',
        ),
    ],
)
def test_options_of_a_section(section: str, shown: list[str], line: str) -> None:
    """A section with all below it, defaults as TOML writes them."""
    lines = run("options", section).out.splitlines()
    assert [found for found in lines if found.startswith("[")] == shown
    assert line in lines
