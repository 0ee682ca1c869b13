"""Batches of a hosted service, through the real client: sent once, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.errors import InputError, ServiceError
from curation.synthesis.batch import BatchService
from curation.synthesis.batch_config import BatchConfig
from curation.synthesis.batch_files import write_files
from curation.synthesis.batch_state import FILE, BatchFolder
from curation.synthesis.endpoints import EndpointConfig
from tests.batch_server import KEY, BatchServer
from tests.curation.synthesis.asking import asks

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer() as hosted:
        yield hosted


def service(server: BatchServer, key: str = KEY) -> BatchService:
    return BatchService(EndpointConfig(base_url=server.url), key, 10.0)


def prepared(server: BatchServer, folder: Path, names: str, most: int = 2) -> BatchFolder:
    """Return a folder with files of up to `most` requests, recorded and not yet sent."""
    batches = BatchFolder.load(str(folder))
    config = BatchConfig(max_requests_per_file=most)
    batches.add(write_files(asks(*names), str(folder), config), server.url)
    return batches


def submit(server: BatchServer, folder: BatchFolder, key: str = KEY) -> None:
    with service(server, key) as hosted:
        hosted.submit(folder, lambda _: None)


def test_files_arrive_as_they_are(server: BatchServer, tmp_path: Path) -> None:
    """Each file is one upload and one batch, recorded with its id and nothing secret."""
    folder = prepared(server, tmp_path, "abcde")
    submit(server, folder)
    assert [batch.batch_id for batch in folder.batches] == ["batch_0", "batch_1", "batch_2"]
    for batch in folder.batches:
        content = (tmp_path / batch.file).read_bytes()
        assert server.contents[batch.input_file_id] == content
        assert (batch.status, batch.errors) == ("in_progress", [])
    assert BatchFolder.load(str(tmp_path)) == folder
    assert KEY not in (tmp_path / FILE).read_text()
    submit(server, folder)
    assert server.calls.count("POST /files") == server.calls.count("POST /batches") == 3


@pytest.mark.parametrize("step", ["POST /files", "POST /batches"])
@pytest.mark.parametrize("others", [0, 3], ids=["alone", "among-others"])
def test_nothing_is_submitted_twice_after_a_lost_answer(
    server: BatchServer, tmp_path: Path, step: str, others: int
) -> None:
    """The service did it, its answer never came: the next run finds file and batch again."""
    for number in range(others):
        submit(server, prepared(server, tmp_path / f"other-{number}", "xy"))
    folder = prepared(server, tmp_path / "own", "abc")
    server.before_answer = lambda call: call != step
    with service(server) as hosted:
        hosted._server.max_retries = 0
        with pytest.raises(ServiceError, match=r"nothing is submitted twice$"):
            hosted.submit(folder, lambda _: None)
    server.before_answer = lambda _: True
    again = BatchFolder.load(folder.path)
    submit(server, again)
    assert len(server.batches) == others + 2
    assert len(server.files) == others + 2
    tokens = {b["metadata"]["threefold"]: i for i, b in server.batches.items()}
    assert {b.batch_id for b in again.batches} == {tokens[b.token] for b in again.batches}


@pytest.mark.parametrize("step", ["POST /files", "POST /batches"])
def test_a_kill_between_sending_and_recording(
    server: BatchServer, tmp_path: Path, step: str
) -> None:
    """A process killed before it can note the id leaves enough to go on."""
    prepared(server, tmp_path, "abc")
    script = (
        "import sys\n"
        "from curation.synthesis.batch import BatchService\n"
        "from curation.synthesis.batch_state import BatchFolder\n"
        "from curation.synthesis.endpoints import EndpointConfig\n"
        "service = BatchService(EndpointConfig(base_url=sys.argv[1]), sys.argv[2], 10.0)\n"
        "service.submit(BatchFolder.load(sys.argv[3]), lambda _: None)\n"
    )
    command = [sys.executable, "-c", script, server.url, KEY, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})

    def kill(call: str) -> bool:
        if call == step:
            process.send_signal(signal.SIGKILL)
            process.wait()
        return call != step

    server.before_answer = kill
    assert process.wait(30) == -9
    server.before_answer = lambda _: True
    folder = BatchFolder.load(str(tmp_path))
    assert [batch.batch_id for batch in folder.batches] == ["", ""]
    submit(server, folder)
    assert len(server.files) == len(server.batches) == 2
    assert sorted(batch.batch_id for batch in folder.batches) == ["batch_0", "batch_1"]


def test_a_refused_file_says_why(server: BatchServer, tmp_path: Path) -> None:
    """Validation happens at the service: the batch fails with a reason and a line."""
    folder = prepared(server, tmp_path, "ab")
    path = tmp_path / folder.batches[0].file
    path.write_bytes(path.read_bytes().replace(b'"POST"', b'"GET"', 1))
    submit(server, folder)
    [batch] = folder.batches
    assert batch.status == "failed"
    assert batch.errors == ["invalid_method: invalid_method in the input (line 1)"]


def test_a_wrong_key_is_said_and_not_shown(server: BatchServer, tmp_path: Path) -> None:
    """One line that names the variable; nothing was sent, the next run starts anew."""
    folder = prepared(server, tmp_path, "ab")
    with pytest.raises(ServiceError) as caught:
        submit(server, folder, "sk-wrong")
    assert str(caught.value) == (
        f"{server.url} refused: HTTP 401 Incorrect API key provided: ***; "
        "check the key in OPENAI_API_KEY"
    )
    assert server.calls == ["POST /files"]  # not tried again
    submit(server, folder)
    assert len(server.batches) == 1


def test_a_service_without_batches_is_said(server: BatchServer, tmp_path: Path) -> None:
    folder = prepared(server, tmp_path, "ab")
    folder.batches[0].batch_id = "batch_none"
    with service(server) as hosted, pytest.raises(ServiceError, match=r"has a Batch API"):
        hosted.refresh(folder.batches[0])


def test_nobody_there_is_said(tmp_path: Path) -> None:
    config = EndpointConfig(base_url="http://127.0.0.1:9/v1")
    folder = BatchFolder(str(tmp_path))
    folder.add(write_files(asks("a"), str(tmp_path), BatchConfig()), config.base_url)
    with BatchService(config, KEY, 10.0) as hosted:
        hosted._server.max_retries = 0
        with pytest.raises(ServiceError, match=r"cannot be reached .* check synthesis\.base_url"):
            hosted.submit(folder, lambda _: None)


def test_downloads_are_whole_and_a_file_that_is_gone_is_told(
    server: BatchServer, tmp_path: Path
) -> None:
    content = b'{"a": "\xe2\x80\xa8"}\n' * 200_000  # more than a block
    server.add_file(content, "out.jsonl", "batch_output")
    with service(server) as hosted:
        assert hosted.download("file-0", str(tmp_path / "out"))
        assert not hosted.download("file-9", str(tmp_path / "none"))
    assert (tmp_path / "out").read_bytes() == content
    assert not (tmp_path / "none").exists()


def test_keys_on_their_way_are_those_not_collected(server: BatchServer, tmp_path: Path) -> None:
    folder = prepared(server, tmp_path, "abcde")
    folder.batches[1].collected = True
    assert folder.keys_on_their_way() == {"a", "b", "e"}


@pytest.mark.parametrize("text", ["{", "[]", '{"batches": [{"file": "x"}]}'])
def test_a_broken_state_is_not_passed_over(tmp_path: Path, text: str) -> None:
    """To start anew would pay again for what is on its way."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=r"state\.json is no state of batches"):
        BatchFolder.load(str(tmp_path))
