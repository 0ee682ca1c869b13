"""Progress lines, tables and durations."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import terminal
from pipelines.terminal import Progress, State, duration, say, table


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (6.6, "0:07"), (59.5, "1:00"), (754, "12:34"), (3723, "1:02:03"), (-5, "0:00")],
)
def test_duration(seconds: float, text: str) -> None:
    """Seconds are shown as minutes, with hours only where there are some."""
    assert duration(seconds) == text


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6))
def test_duration_reads_back(seconds: int) -> None:
    """The text means the same number of seconds."""
    total = 0
    for part in duration(seconds).split(":"):
        total = total * 60 + int(part)
    assert total == seconds


@pytest.mark.parametrize(
    ("state", "elapsed", "line"),
    [
        (
            State(0.5, 1000, "3/6 files"),
            10,
            "x             50%  1,000 rows  100/s  ETA 0:10  3/6 files",
        ),
        (State(0.0, 0), 10, "x              0%  0 rows  0.0/s  0:10"),
        (State(1.0, 25), 10, "x            100%  25 rows  2.5/s  0:10"),
        (State(0.25, 3), 0, "x             25%  3 rows  0.0/s  ETA 0:00"),
    ],
    ids=["half", "none", "done", "at-once"],
)
def test_a_line_has_share_rate_and_eta(state: State, elapsed: float, line: str) -> None:
    """Share, items, rate and time left, or time taken where there is no estimate."""
    assert Progress("x", "rows", stream=io.StringIO()).line(state, elapsed) == line


def test_what_an_earlier_attempt_did_is_not_this_ones_rate() -> None:
    """Rate and ETA count from where the first poll found the work."""
    states = iter([State(0.5, 100), State(0.75, 150), State(0.75, 150)])
    stream = io.StringIO()
    with Progress("x", "rows", poll=lambda: next(states), stream=stream) as progress:
        assert progress.line(State(0.75, 150), 10).split("  ")[-2:] == ["5.0/s", "ETA 0:10"]


def test_a_single_update_counts_its_items() -> None:
    """Work that is done in one batch shows a rate, resumed work no share of others."""
    with Progress("x", "rows", stream=io.StringIO()) as progress:
        progress.update(1.0, 50)
        assert "50 rows  5.0/s" in progress.line(State(1.0, 50), 10)


def test_a_log_gets_a_line_at_the_end() -> None:
    """Without a terminal there is no redrawing: one line, no carriage return."""
    stream = io.StringIO()
    with Progress("work", "rows", stream=stream) as progress:
        progress.update(0.5, 10)
        progress.update(1.0, 20, "done")
    assert stream.getvalue().startswith("work         100%  20 rows  ")
    assert stream.getvalue().endswith("  done\n")
    assert stream.getvalue().count("\n") == 1
    assert "\r" not in stream.getvalue()


def test_a_log_gets_lines_while_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so many seconds a line shows where the work stands."""
    monkeypatch.setattr(terminal, "_LOG_SECONDS", 0.01)
    stream, shares = io.StringIO(), itertools.count()

    def poll() -> State:
        return State(0.0, next(shares))

    with Progress("work", "rows", poll=poll, stream=stream) as progress:
        while stream.getvalue().count("\n") < 2:
            progress._stop.wait(0.01)
    assert stream.getvalue().splitlines()[0].startswith("work           0%  1 rows")


def test_a_terminal_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is written over itself, cut to the width, and ends when the work does."""
    monkeypatch.setattr(terminal, "_DRAW_SECONDS", 0.01)
    monkeypatch.setenv("COLUMNS", "30")
    screen = Screen()
    with Progress("work", "rows", stream=screen) as progress:
        progress.update(0.5, 10, "a long remark that does not fit")
        while screen.getvalue().count("\r") < 2:
            progress._stop.wait(0.01)
    *drawn, last = screen.getvalue().split("\r")[1:]
    assert {len(line) for line in drawn} == {29}
    assert last.endswith("\n")
    assert screen.getvalue().count("\n") == 1


def test_the_line_is_finished_when_the_work_fails() -> None:
    """An error leaves the last state on the screen and goes on its way."""
    stream = io.StringIO()

    def work() -> None:
        with Progress("x", "rows", stream=stream) as progress:
            progress.update(0.25, 5)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert stream.getvalue().startswith("x             25%  5 rows")


def test_table_aligns_first_left_and_numbers_right() -> None:
    """Columns are as wide as their widest cell; no line ends in spaces."""
    text = table(["source", "rows"], [["wikipedia en", "7"], ["po", "12,345"]])
    assert text.splitlines() == [
        "source          rows",
        "------------  ------",
        "wikipedia en       7",
        "po            12,345",
    ]


def test_say_keeps_lines_and_replaces_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Text in any script and its line breaks pass; what would steer a terminal does not."""
    say("größer → 東京\n\tok \x1b[31m\r\x07\x9b")
    assert capsys.readouterr().out == "größer → 東京\n\tok \ufffd[31m\ufffd\ufffd\ufffd\n"
