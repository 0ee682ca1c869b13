"""What a person reads when something is missing, damaged or not there."""

from __future__ import annotations

import bz2
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import builders
from tests.command_line import Result, leftovers, run
from tests.end_to_end import corpus
from tests.end_to_end.conftest import KEY, Run
from tests.end_to_end.test_outputs import rows_of
from tests.llm_server import Reply, ScriptedServer

SOURCE = '[[curation.sources]]\nkind = "{kind}"\npath = "{path}"\n'


@pytest.fixture
def curate(tiny_encoder: str, tmp_path: Path) -> Callable[..., Result]:
    """Return a function that curates sources given as (kind, path) into `tmp_path / "out"`."""

    def run_curate(*sources: tuple[str, Path]) -> Result:
        tables = "\n".join(SOURCE.format(kind=kind, path=path) for kind, path in sources)
        config = tmp_path / "run.toml"
        config.write_text(f'[model]\nencoder = "{tiny_encoder}"\n\n{tables}')
        return run("curate", "--config", config, "--out", tmp_path / "out")

    return run_curate


@pytest.mark.parametrize(
    ("stage", "folder", "command"),
    [
        ("synth", "documents", "curate"),
        ("mine-negatives", "questions", "synth"),
        ("train", "training", "mine-negatives"),
        ("evaluate", "model", "train"),
    ],
    ids=["synth", "mine-negatives", "train", "evaluate"],
)
def test_a_missing_input_names_the_command_that_makes_it(
    finished: Run, tmp_path: Path, stage: str, folder: str, command: str
) -> None:
    """Exit code 2 and one line: which folder, which command."""
    result = run(stage, "--config", finished.config, "--out", tmp_path)
    line = f"{stage}: error: {tmp_path}/{folder} is missing or incomplete; run: make {command}\n"
    assert (result.code, result.out, result.err) == (2, "", line)
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_files_is_named(curate: Callable[..., Result], tmp_path: Path) -> None:
    """A path that matches nothing is an error before anything is written."""
    result = curate(("wikipedia", tmp_path / "no-*.bz2"))
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"curate: error: no file matches '{tmp_path}/no-*.bz2'; "
        "check the source's `path` in the config\n"
    )
    assert not (tmp_path / "out").exists()


def test_an_empty_source_keeps_failing(curate: Callable[..., Result], tmp_path: Path) -> None:
    """A file without a byte is a reject; without any pair the command fails, each time."""
    (tmp_path / "empty.bz2").write_bytes(b"")
    first, second = (curate(("wikipedia", tmp_path / "empty.bz2")) for _ in range(2))
    assert "rejected 1: no_records 1" in first.out
    assert second.out.startswith("curate: up to date (0 documents, 0 pairs, 1 rejects/curate)")
    for result in (first, second):
        assert result.code == 2
        assert result.err.endswith(
            "curate: error: no pair was kept; reports/curate.json and rejects/curate say why\n"
        )
    [reject] = rows_of(tmp_path / "out/rejects/curate")
    assert (reject["id"], reject["reason"]) == ("wikipedia:empty.bz2", "no_records")


def test_damaged_files_give_what_they_hold(curate: Callable[..., Result], tmp_path: Path) -> None:
    """A truncated dump and a truncated WARC cost their end only, and say so in the rejects."""
    pages = [
        builders.page_xml(f"Town {i}", corpus.wiki_article(f"Town {i}", 1800 + i), i)
        for i in range(1, 30)
    ]
    dump = bz2.compress(builders.dump_xml(pages[:20]).encode()) + bz2.compress(
        "".join(pages[20:]).encode()
    )
    (tmp_path / "cut.bz2").write_bytes(dump[:-40])
    records = corpus.warc_records()[:4]
    whole = builders.write_warc(tmp_path / "cut.warc.gz", records).read_bytes()
    (tmp_path / "cut.warc.gz").write_bytes(whole[:-120])
    result = curate(("wikipedia", tmp_path / "cut.bz2"), ("cc-news", tmp_path / "cut.warc.gz"))
    assert result.code == 0, result.err
    rejects = {row["source"]: row for row in rows_of(tmp_path / "out/rejects/curate")}
    documents = [row["source"] for row in rows_of(tmp_path / "out/documents")]
    assert rejects["wikipedia"]["reason"] == "truncated_file"
    assert rejects["cc-news"]["reason"] in ("truncated_record", "damaged_warc")
    assert documents.count("wikipedia") == 20
    assert documents.count("cc-news") == 3
    assert leftovers(tmp_path / "out") == []


def closed_port() -> int:
    """Return a port of this machine at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_not_there(finished: Run, out_with: Callable[..., Path]) -> None:
    """The message names the address, the cause and the option; nothing counts as done."""
    out = out_with("documents")
    url = f"http://127.0.0.1:{closed_port()}/v1"
    common = ("--config", finished.config, "--out", out)
    result = run("synth", *common, "--set", f'synthesis.base_url="{url}"')
    assert result.code == 2
    assert result.err.splitlines()[-1] == (
        f"synth: error: {url} cannot be reached: Connection refused; "
        "check synthesis.base_url and that the server runs"
    )
    assert "Traceback" not in result.err
    assert not (out / "questions/_SUCCESS").exists()


def test_a_refused_key_is_not_repeated(finished: Run, out_with: Callable[..., Path]) -> None:
    """A refusal that quotes the key and escape codes: neither reaches terminal or files."""
    out = out_with("documents")
    message = f'{{"error": {{"message": "bad key {KEY} \\u001b[31m"}}}}'.encode()
    with ScriptedServer(lambda _: Reply(status=401, raw=message)) as server:
        endpoint = f'synthesis.base_url="{server.url}"'
        result = run("synth", "--config", finished.config, "--out", out, "--set", endpoint)
    assert result.code == 2
    assert "refused: HTTP 401" in result.err
    assert "the key in THREEFOLD_TEST_KEY" in result.err
    assert "\x1b" not in result.err
    assert KEY not in result.out + result.err
    for path in out.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("stage", "override", "message"),
    [
        (
            "synth",
            "synthesis.languages=['xx']",
            (
                "no document fits synthesis.min_document_characters = 120 .. "
                "max_document_characters = 200000 and has a prompt in its language"
            ),
        ),
        (
            "synth",
            "synthesis.model=''",
            (
                "synthesis needs a model: set synthesis.base_url and synthesis.model, "
                "or synthesis.local_server = 'gemma-3-270m'"
            ),
        ),
        (
            "mine-negatives",
            "mining.relations=['labelled']",
            (
                "mining.relations = ['labelled'] names nothing to mine for: no source of the "
                "config is labelled"
            ),
        ),
        (
            "train",
            "train.freeze=['head']",
            "train.freeze: 'head' is no part of the encoder (['embeddings', 'encoder'], layer.N)",
        ),
        (
            "evaluate",
            "splits.held_out=0.0",
            "the evaluation set 'questions' has no judged query",
        ),
        (
            "mine-negatives",
            "model.encoder='./nowhere'",
            "model.encoder = './nowhere' is no folder, and no hub name (owner/name)",
        ),
    ],
    ids=["languages", "model", "relations", "freeze", "held_out", "encoder"],
)
def test_options_that_leave_nothing_to_do(
    finished: Run, out_with: Callable[..., Path], stage: str, override: str, message: str
) -> None:
    """An option under which a stage has no work or no model is named in the message."""
    out = out_with("documents", "pairs", "questions", "training", "model")
    result = run(stage, "--config", finished.config, "--out", out, "--set", override)
    assert (result.code, result.err.splitlines()[-1]) == (2, f"{stage}: error: {message}")
