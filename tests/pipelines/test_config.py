"""The run config: TOML, `--set`, messages that help, `--print-config` and back."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from pipelines.cli import DEFAULT_CONFIG
from pipelines.config import RunConfig, load, to_dict, to_toml
from tests.command_line import run

SOURCES = """
[[curation.sources]]
kind = "wikipedia"
path = "a.bz2"

[[curation.sources]]
kind = "c4"
path = "b.json.gz"
"""


def write(folder: Path, text: str) -> str:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_defaults_come_from_the_config_classes() -> None:
    """No file and no override give the default run."""
    assert load(None, []) == RunConfig()


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.epochs=2", "train.epochs", 2.0),
        ("train.epochs=2.5", "train.epochs", 2.5),
        ("runner.workers=4", "runner.workers", 4),
        ("train.compile=true", "train.compile", True),
        ("train.loss.temperature=0.05", "train.loss.temperature", 0.05),
        ("train.loss.loss_weights=[1, 0, 0.5]", "train.loss.loss_weights", (1.0, 0.0, 0.5)),
        ("model.pooling=mean", "model.pooling", "mean"),
        ("model.pooling='mean'", "model.pooling", "mean"),
        ('out="a b=c"', "out", "a b=c"),
        ("mining.limits={parallel = 3}", "mining.limits", {"parallel": 3}),
        ("mining.limits.title-body=7", "mining.limits", {"title-body": 7}),
        ("synthesis.languages=['de', 'fr']", "synthesis.languages", ("de", "fr")),
        (" runner.workers =3", "runner.workers", 3),
    ],
)
def test_an_override_sets_a_key(override: str, path: str, value: Any) -> None:
    """A value is read as TOML, a bare word as text; nested keys and tables work."""
    found: Any = load(None, [override])
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_an_index_addresses_a_table_of_a_list(tmp_path: Path) -> None:
    """`curation.sources.1.path` is the second source; the last override wins over the file."""
    config = load(
        write(tmp_path, SOURCES),
        ["curation.sources.1.path=c.gz", "curation.sources.1.path=d.gz"],
    )
    assert [source.path for source in config.curation.sources] == ["a.bz2", "d.gz"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "train.epoch=1",
            "unknown key in [train] 'epoch': did you mean 'epochs'? valid: batch_sizes",
        ),
        ("trian.epochs=1", "unknown section 'trian': did you mean 'train'? valid: ablate, ance"),
        ("zzz=1", "unknown section 'zzz': valid: ablate, ance, curation, evaluation, mining"),
        ("train.loss.x=1", "unknown key in [train.loss] 'x': "),
        ("train.epochs=yes", "train.epochs = 'yes' is a str; it takes float"),
        ("train.epochs=true", "train.epochs = True is a bool; it takes float"),
        ("runner.workers=1.5", "runner.workers = 1.5 is a float; it takes int"),
        ("runner.workers=true", "runner.workers = True is a bool; it takes int"),
        ("synthesis.languages=en", "synthesis.languages = 'en' is a str; it takes a list"),
        ("synthesis.languages=[1]", "synthesis.languages.0 = 1 is a int; it takes str"),
        ("mining.limits=3", "mining.limits = 3 is a int; it takes a table"),
        ("evaluation.weights=[1, 2]", "evaluation.weights takes 3 values, got [1, 2]"),
        ("train=3", "train must be a table, got 3"),
        ("runner.workers=-1", "runner.workers = -1 is outside 0 .. 1024"),
        ("synthesis.temperature=nan", "synthesis.temperature = nan is outside 0 .. 2"),
        ("splits.held_out=1.5", "splits.held_out = 1.5 is outside 0 .. 1"),
        ("model.pooling=men", "unknown model.pooling 'men': did you mean 'mean'? valid: cls, mean"),
        ("mining.relations=['title']", "unknown mining.relations 'title': "),
        ("mining.limits={tilte-body = 1}", "did you mean 'title-body'?"),
        ("train.batch_sizes=[1]", "train.batch_sizes = (1,) needs nine positive numbers"),
        ("evaluation.sets=[{kind = 'beir'}]", "evaluation.sets: kind = 'beir' needs `path`"),
        ("evaluation.sets=[{kind = 'bier'}]", "unknown evaluation.sets.kind 'bier': did you mean"),
        (
            "evaluation.sets=[{kind = 'mkqa', path = 'x', max_documents = 3}]",
            "evaluation.sets: kind = 'mkqa' judges by answers, so its corpus is searched whole",
        ),
        (
            "curation.sources=[{path = 'x'}]",
            "[curation.sources.0]: missing 1 required keyword-only",
        ),
        ("curation.sources.0.path=x", "--set curation.sources.0.path: "),
        ("runner.workers.a=1", "--set runner.workers.a: runner.workers is not a table"),
        ("out.a.b=1", "--set out.a.b: 'a' lies in a value, not in a table"),
        ("train.epochs", "--set takes section.key=value, got 'train.epochs'"),
        ("=1", "--set takes section.key=value, got '=1'"),
    ],
)
def test_a_wrong_override_is_explained(tmp_path: Path, override: str, message: str) -> None:
    """The message names the key, the value and what would be right."""
    path = write(tmp_path, "out = 'o'\n[curation]\nsources = []\n[runner]\nworkers = 2\n")
    with pytest.raises(ConfigError) as caught:
        load(path, [override])
    assert message in str(caught.value)


@pytest.mark.parametrize("index", ["2", "-1", "x", "²"])
def test_an_index_beyond_the_list_is_refused(tmp_path: Path, index: str) -> None:
    """Only 0 and 1 address two sources."""
    with pytest.raises(ConfigError, match=rf"'{index}' is not an index below 2$"):
        load(write(tmp_path, SOURCES), [f"curation.sources.{index}.path=x"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"out = \n", "is not valid TOML: Invalid value"),
        (b"out = 1\nout = 2\n", "is not valid TOML: Cannot overwrite a value"),
        (b'out = "\xff"\n', "is not valid TOML: 'utf-8' codec can't decode"),
    ],
    ids=["syntax", "twice", "latin-1"],
)
def test_a_broken_file_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    """What is no TOML or no UTF-8 is an error with the file's name."""
    (tmp_path / "run.toml").write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(str(tmp_path / "run.toml"), [])
    assert str(caught.value).startswith(f"{tmp_path}/run.toml {message}")


@pytest.mark.parametrize(
    ("name", "problem"), [("none.toml", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, problem: str) -> None:
    """A missing file and a folder are errors with their path."""
    path = str(tmp_path / name)
    with pytest.raises(ConfigError) as caught:
        load(path, [])
    assert str(caught.value) == f"cannot read the config {path!r}: {problem}"


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["out=elsewhere", "train.loss.temperature=0.5", "curation.sources.1.language=nb"],
        ['model.query_prompt="quo\\"te: \\u001b\\n"', "evaluation.weights=[0, 0.1, 2]"],
    ],
    ids=["demo", "changed", "escapes"],
)
def test_print_config_gives_the_same_config(tmp_path: Path, overrides: list[str]) -> None:
    """What `--print-config` prints, read again, is the same config, and prints the same."""
    options = [part for override in overrides for part in ("--set", override)]
    result = run("curate", "--print-config", "--out", "over there", *options)
    path = write(tmp_path, result.out)
    assert result.code == 0
    assert load(path, []) == load(DEFAULT_CONFIG, [*overrides, 'out="over there"'])
    assert run("train", "--config", path, "--print-config").out == result.out


@settings(deadline=None, max_examples=50)
@given(
    workers=st.integers(0, 1024),
    rate=st.floats(0.0, 2.0),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    limits=st.dictionaries(st.sampled_from(["parallel", "section"]), st.integers(0, 10**9)),
)
def test_any_config_survives_toml(
    workers: int, rate: float, text: str, limits: dict[str, int]
) -> None:
    """to_toml and build are inverse for numbers, text and tables of any value."""
    data = {
        "runner": {"workers": workers},
        "synthesis": {"temperature": rate},
        "model": {"passage_prompt": text},
        "mining": {"limits": limits},
    }
    overrides = [
        f"{section}.{key}={_toml(value)}"
        for section, table in data.items()
        for key, value in table.items()
    ]
    config = load(None, overrides)
    assert config.model.passage_prompt == text
    assert config.mining.limits == limits
    assert tomllib.loads(to_toml(config)) == to_dict(config)


def _toml(value: Any) -> str:
    import tomli_w

    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {v}" for k, v in value.items()) + "}"
    return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ({"kind": "questions"}, "questions"),
        ({"kind": "beir", "path": "/data/scifact/"}, "scifact"),
        ({"kind": "beir", "path": "/data/scifact", "name": "mine"}, "mine"),
    ],
    ids=["kind", "folder", "name"],
)
def test_an_evaluation_set_has_a_label(kind: dict[str, str], label: str) -> None:
    """A set is called by its name, else its folder, else its kind."""
    table = ", ".join(f"{k} = '{v}'" for k, v in kind.items())
    config = load(None, [f"evaluation.sets=[{{{table}}}]"])
    assert config.evaluation.sets[0].label == label
