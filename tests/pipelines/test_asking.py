"""The paid step: what is asked, what is shown meanwhile and what is said at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.errors import BudgetError
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.responses import ResponseLog
from pipelines import cli
from pipelines.asking import ask, detail, state
from tests.curation.synthesis.asking import asks, client_for, prompt_of
from tests.llm_server import Reply, ScriptedServer

PRICES = {"input_price": 1000.0, "output_price": 2000.0}  # $0.02 an answer of 10 + 5 tokens


def config_for(server: ScriptedServer, **options: Any) -> SynthesisConfig:
    return SynthesisConfig(base_url=server.url, model="m", **options)


@pytest.fixture
def server(llm_server: ScriptedServer) -> ScriptedServer:
    llm_server.script = lambda body: Reply(prompt_of(body))
    llm_server.requests.clear()
    return llm_server


def test_a_run_and_what_was_known_before(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what is missing is asked; cost is told for this run and for those before."""
    config = config_for(server, **PRICES)
    first = ask(config, ResponseLog(str(tmp_path)), asks(*"abc"), 3)
    assert (first.asked, first.known, first.usage.tokens) == (3, 0, 45)
    assert "this run: 3 requests, 45 tokens, $0.06\n" in capsys.readouterr().out
    second = ask(config, ResponseLog(str(tmp_path)), asks(*"abcde"), 5)
    assert (second.asked, second.known) == (2, 3)
    assert capsys.readouterr().out == (
        "  this run: 2 requests, 30 tokens, $0.04; the log held 3 answers, 45 tokens, $0.06\n"
    )
    third = ask(config, ResponseLog(str(tmp_path)), asks(*"abcde"), 5)
    assert (third.asked, third.known, third.usage.requests) == (0, 5, 0)
    assert len(server.requests) == 5


def test_the_local_server_is_not_started_for_nothing(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """With all answers known none is needed: this one could not be started here."""
    ask(config_for(server), ResponseLog(str(tmp_path)), asks("a"), 1)
    config = SynthesisConfig(local_server="gemma-3-270m")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", "/bin/false")
        assert ask(config, ResponseLog(str(tmp_path)), asks("a"), 1).known == 1


def test_progress_tells_cost_and_failures(server: ScriptedServer, tmp_path: Path) -> None:
    """Half done: share, tokens, cost so far and in the end, places, failures by cause."""
    client = client_for(server.url, tmp_path, **PRICES)
    client.ask_all(asks(*"abcde"))
    client.failures.update({"HTTP 500": 2, "timed out": 1})
    client.log.close()
    now = state(client, known=1, total=12)
    assert (now.share, now.items) == (0.5, 5)
    assert now.remark == (
        "75 tokens, $0.10 of about $0.22, 0/8 in flight, 3 failed: HTTP 500 2, timed out 1"
    )
    client.usage.usd = 0.0
    client.failures.clear()
    assert detail(client, 6) == "75 tokens, 0/8 in flight"


def test_a_spent_budget_has_its_own_exit_status(
    server: ScriptedServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Status 3, one line, and the log unlocked with what was paid for."""
    log = ResponseLog(str(tmp_path))

    def run(_: Any) -> int:
        ask(config_for(server, max_requests=2), log, asks(*"abcd"), 4)
        return 0

    monkeypatch.setattr("pipelines.commands.synth.main", run)
    assert cli.main(["synth"]) == 3
    assert capsys.readouterr().err.splitlines()[-1] == (
        "synth: error: stopped at synthesis.max_requests = 2: 2 sent; 2 answers of this run are "
        "kept, raise the cap and run it again for the others"
    )
    assert len(list(log.read("abcd"))) == 2
    with pytest.raises(BudgetError):
        ask(config_for(server, max_requests=1), ResponseLog(str(tmp_path)), asks(*"abcd"), 4)
    assert len(list(ResponseLog(str(tmp_path)).read("abcd"))) == 3
