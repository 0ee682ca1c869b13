"""The log of paid answers: what was written once is never lost and never asked again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthesis.responses import FILE, Response, ResponseLog

ROOT = Path(__file__).parents[3]
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
count = st.integers(0, 10**6)
responses = st.builds(
    Response,
    *(text, text, text, text, count, count),
    *(count, text, count, count, st.integers(1, 9), text),
)


def response(key: str, content: str = "Who built it?\n\u2028é日") -> Response:
    """Return an answer."""
    return Response(key, content, "stop", "m", 10, 5)


def filled(folder: Path, *keys: str) -> Path:
    """Write a log with answers of these keys; return its file."""
    log = ResponseLog(str(folder))
    for key in keys:
        log.append(response(key))
    log.close()
    return folder / FILE


def keys(folder: Path) -> set[str]:
    """Return which keys a new reader finds."""
    log = ResponseLog(str(folder))
    found = {key for key in (*"abcx", *map(str, range(100))) if key in log}
    assert {answer.key for answer in log.read(found)} == found
    return found


@given(items=st.lists(responses, max_size=6))
@settings(deadline=None, max_examples=60)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, items: list[Response]) -> None:
    """What is appended is known at once, and after a restart; the last of a key counts."""
    folder = str(tmp_path_factory.mktemp("log"))
    log = ResponseLog(folder)
    for item in items:
        log.append(item)
    log.close()
    wanted = {item.key: item for item in items}
    for found in (log, ResponseLog(folder)):
        assert {key: found.get(key) for key in wanted} == wanted
        assert list(found.read([*wanted, "unknown"])) == list(wanted.values())
        assert sum(usage.requests for usage in found.usage.values()) == len(items)
        assert sum(u.tokens for u in found.usage.values()) == sum(
            item.input_tokens + item.output_tokens for item in items
        )


def test_log_is_append_only(tmp_path: Path) -> None:
    """A later run adds lines and touches no earlier byte."""
    before = filled(tmp_path, "a", "b").read_bytes()
    after = filled(tmp_path, "c").read_bytes()
    assert after.startswith(before)
    assert [json.loads(line)["key"] for line in after.splitlines()] == ["a", "b", "c"]


def test_opening_writes_nothing(tmp_path: Path) -> None:
    """A log that is only read makes no file; closing it twice is fine."""
    log = ResponseLog(str(tmp_path / "new" / "folder"))
    log.close()
    log.close()
    assert log.get("a") is None
    assert os.listdir(tmp_path / "new" / "folder") == []


@pytest.mark.parametrize("kept", range(1, 60, 7))
def test_cut_last_line_is_passed_over(tmp_path: Path, kept: int) -> None:
    """A line cut anywhere, in the middle of a letter too, costs that answer alone."""
    path = filled(tmp_path, "a", "b")
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    path.write_bytes(data[: first + kept])
    assert keys(tmp_path) == {"a"}
    filled(tmp_path, "c")
    assert keys(tmp_path) == {"a", "c"}


def test_line_without_its_newline_is_kept(tmp_path: Path) -> None:
    """A line that lacks the newline alone is whole, and the next one starts on its own line."""
    path = filled(tmp_path, "a", "b")
    path.write_bytes(path.read_bytes()[:-1])
    assert keys(tmp_path) == {"a", "b"}
    filled(tmp_path, "c")
    assert keys(tmp_path) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "line",
    [b"\xff\xfe\n", b"[1, 2]\n", b"7\n", b'{"key": "x"}\n', b'{"key": "x", "other": 1}\n', b"\n"],
    ids=["no-utf8", "list", "number", "fields-missing", "field-unknown", "empty"],
)
def test_foreign_lines_are_passed_over(tmp_path: Path, line: bytes) -> None:
    """A line that is no answer neither stops the run nor hides the answers around it."""
    path = filled(tmp_path, "a")
    path.write_bytes(line + path.read_bytes() + line)
    assert keys(tmp_path) == {"a"}


def test_appended_answers_survive_a_kill(tmp_path: Path) -> None:
    """A process killed without warning leaves every answer that `append` returned from."""
    script = (
        "import os, signal, sys\n"
        "from curation.synthesis.responses import Response, ResponseLog\n"
        "log = ResponseLog(sys.argv[1])\n"
        "for i in range(100):\n"
        "    log.append(Response(str(i), 'x' * 300, 'stop', 'm', 1, 1))\n"
        'os.write(log._file, b\'{"key": "cut", \')\n'
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert keys(tmp_path) == {str(i) for i in range(100)}
