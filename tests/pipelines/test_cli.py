"""The command line as a person meets it: help, errors, entry points."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.cli import COMMANDS, main
from tests.command_line import run

ROOT = Path(__file__).parents[2]
STAGES = [name for name in COMMANDS if name != "options"]


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_instant(command: str) -> None:
    """`--help` takes under half a second of CPU and tells what the command is for."""
    times = []
    for _ in range(3):
        before = os.times()
        result = python("-m", "pipelines", *filter(None, [command]), "--help")
        after = os.times()
        times.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    assert result.returncode == 0
    wanted = COMMANDS[command][2] if command else "From raw multilingual corpora to a trained"
    assert wanted in result.stdout
    assert result.stderr == ""
    assert min(times) < 0.5


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command: str) -> None:
    """No framework is loaded to show help."""
    code = (
        "import sys\nfrom pipelines.cli import main\n"
        f"try:\n    main({[*filter(None, [command]), '--help']!r})\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'apache_beam', 'transformers', 'numpy', 'pyarrow', 'faiss', 'openai'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    result = python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("entry", ["threefold", "python -m pipelines"])
def test_both_entry_points_reach_the_same_commands(entry: str) -> None:
    """The installed script and the module print the config's keys."""
    script = Path(sys.executable).with_name("threefold")
    if entry == "threefold" and not script.exists():
        result = python(
            "-c", "import sys\nfrom pipelines.cli import main\nsys.exit(main())", "options"
        )
    elif entry == "threefold":
        result = subprocess.run(
            [script, "options"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    else:
        result = python("-m", "pipelines", "options")
    assert result.returncode == 0, result.stderr
    assert "[train.loss]" in result.stdout
    assert "sampling_temperature = 1.0" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curate", "--config", "none.toml"], "curate: error: cannot read the config 'none.toml'"),
        (["train", "--set", "train.epohcs=1"], "did you mean 'epochs'?"),
        (["options", "trian"], "unknown section 'trian': did you mean 'train'?"),
        (["curate", "--set", "curation.sources=[]"], "lists no source; add a table like:"),
        (["train", "--", "--runner=FlinkRunner"], "would ignore --runner=FlinkRunner"),
        (["evaluate", "--", "--x=1", "--y"], "evaluate runs no Beam pipeline: it would ignore --x"),
    ],
    ids=["file", "key", "section", "sources", "train-beam", "evaluate-beam"],
)
def test_an_error_of_the_user_is_a_line_and_status_2(arguments: list[str], message: str) -> None:
    """No traceback, nothing on stdout, one message on stderr."""
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.startswith(f"{arguments[0]}: error: ")
    assert "Traceback" not in result.err


def test_a_real_process_ends_with_status_2() -> None:
    """The module's exit status is what a shell sees."""
    result = python("-m", "pipelines", "curate", "--set", "runner.workers=x")
    assert result.returncode == 2
    message = "curate: error: runner.workers = 'x' is a str; it takes int\n"
    assert (result.stdout, result.stderr) == ("", message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["crate"], "invalid choice: 'crate'"),
        (["curate", "--sett", "x"], "unrecognized arguments: --sett"),
        (["curate", "extra"], "unexpected argument 'extra'; runner options go after --"),
    ],
    ids=["nothing", "command", "option", "positional"],
)
def test_a_wrong_call_shows_the_usage(arguments: list[str], message: str) -> None:
    """Arguments that do not parse end with status 2 and the usage."""
    result = run(*arguments)
    assert result.code == 2
    assert result.err.startswith("usage: python -m pipelines")
    assert message in result.err


@pytest.mark.parametrize("stage", ["curate", "demo"])
def test_a_dry_run_writes_nothing(tmp_path: Path, stage: str) -> None:
    """`--dry-run` names input and output, and the output folder does not appear."""
    source = tmp_path / "dump.xml"
    source.write_bytes(b"x" * 1_500_000)
    config = tmp_path / "run.toml"
    config.write_text(
        f'out = "{tmp_path}/out"\n[[curation.sources]]\nkind = "wikipedia"\npath = "{source}"\n'
    )
    result = run(stage, "--config", config, "--dry-run")
    assert (result.code, result.err) == (0, "")
    assert f"{tmp_path}/out" in result.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump.xml", "run.toml"]
    if stage == "curate":
        assert result.out.splitlines()[2].split() == [
            *("wikipedia", "wikipedia", "from", "the", "source", "1", "1", "1.5")
        ]
        assert result.out.splitlines()[3].endswith(": documents, pairs, rejects/curate")
    else:
        assert "would run curate, synth, mine-negatives, train, evaluate" in result.out


def test_a_reader_that_stops_is_no_error() -> None:
    """`options | head -1` ends without a word on stderr."""
    command = f"{sys.executable} -m pipelines options | head -1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "(top level)\n", "")


def test_an_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    """Ctrl-C ends with status 130 and one line."""
    pipe = tmp_path / "config.toml"
    os.mkfifo(pipe)  # reading the config waits here
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "curate", "--config", str(pipe)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts background jobs with the signal ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 10  # for kernels that do not tell
    while not _waits_for_a_writer(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "\ncurate: interrupted; run it again to go on\n")


def _waits_for_a_writer(pid: int) -> bool:
    try:
        found = Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return False
    return "fifo" in found or "wait_for_partner" in found


def test_error_text_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape codes in a message come out as replacement characters."""
    assert main(["curate", "--set", "curation.sources=[{kind='\x1b[2J', path='x'}]"]) == 2
    assert "\x1b" not in capsys.readouterr().err
