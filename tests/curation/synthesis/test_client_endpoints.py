"""Several endpoints: the work goes where there is room, and a dead one ends alone."""

import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curation.errors import ServiceError
from curation.synthesis.endpoints import EndpointConfig
from tests.curation.synthesis.asking import KEY, ask, asks, known, prompt_of, raw
from tests.curation.synthesis.simulated import SimulatedPool
from tests.llm_server import Reply, ScriptedServer


def fine(body: dict[str, Any]) -> Reply:
    return Reply(f"about {prompt_of(body)}")


def simulated(folder: Path, count: int, *pools: SimulatedPool, **options: Any) -> Any:
    """Ask `count` requests of endpoints with 4 places each, in simulated time."""
    urls = [f"http://host{i}/v1" for i in range(len(pools))]
    endpoints = [EndpointConfig(base_url=url, concurrency=4) for url in urls]
    requests = asks(*(f"n{i}" for i in range(count)))
    return ask(endpoints, folder, requests, pools=dict(zip(urls, pools, strict=True)), **options)


def test_work_goes_where_there_is_room(tmp_path: Path) -> None:
    """An endpoint three times as fast answers three times as much, and none ever idles."""
    slow, fast = SimulatedPool(fine, latency=3.0), SimulatedPool(fine, latency=1.0)
    simulated(tmp_path, 400, slow, fast)
    assert len(slow.sent) + len(fast.sent) == len(known(tmp_path)) == 400
    assert len(fast.sent) == pytest.approx(300, abs=8)
    assert (slow.most_in_flight, fast.most_in_flight) == (4, 4)
    last = max(at for pool in (slow, fast) for at, _ in pool.sent)
    assert last == pytest.approx(75, abs=3)  # 400 over 4/3 + 4 a second
    endpoints = Counter(answer.endpoint for answer in known(tmp_path).values())
    assert endpoints == {"host0": len(slow.sent), "host1": len(fast.sent)}


def test_a_paused_endpoint_leaves_its_work_to_others(tmp_path: Path) -> None:
    """One that asks for ten minutes is left alone for that long; the run does not wait for it."""
    paused = SimulatedPool(lambda _: Reply(status=429, headers={"Retry-After": "600"}))
    other = SimulatedPool(fine)
    client = simulated(tmp_path, 200, paused, other)
    assert len(paused.sent) == 4
    assert len(other.sent) == len(known(tmp_path)) == 200
    assert client.failures == {}


@pytest.mark.parametrize(
    "bad",
    [
        Reply(status=401, raw=f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode()),
        Reply(status=404, raw=b"no such model"),
        raw({"error": {"code": "insufficient_quota", "message": "pay"}}, status=429),
        Reply(status=400, raw=b"no"),
        Reply(status=500, raw=b"oops"),
        Reply(raw=b"<html>login</html>"),
    ],
    ids=["key", "model", "quota", "bad-request", "always-500", "always-html"],
)
def test_a_dead_endpoint_ends_alone(tmp_path: Path, bad: Reply) -> None:
    """It is given up with one message, its requests go to the other, none is lost."""
    dead = SimulatedPool(lambda _: bad, latency=0.1)
    other = SimulatedPool(fine)
    client = simulated(tmp_path, 200, dead, other, max_attempts=3)
    assert len(known(tmp_path)) + client.failures.total() == 200
    [reason] = client.ended
    assert reason.startswith("http://host0/v1 ")
    assert KEY not in reason
    assert len(dead.sent) <= 8 * 3 + 4
    if bad.status not in (200, 500):
        assert len(dead.sent) == 4
        assert client.failures == {}


def test_nobody_at_one_of_two_addresses(server: ScriptedServer, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        absent = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    endpoints = [EndpointConfig(base_url=url, concurrency=2) for url in (absent, server.url)]
    server.script = lambda body: Reply("x", delay=0.05)
    client = ask(endpoints, tmp_path, asks(*map(str, range(60))), max_attempts=1)
    assert len(known(tmp_path)) == 60
    assert client.ended == [
        (
            f"{absent} cannot be reached: Connection refused; "
            "check synthesis.base_url and that the server runs"
        )
    ]


def test_when_all_are_dead_the_run_ends_with_every_reason(tmp_path: Path) -> None:
    pools = [SimulatedPool(lambda _, s=s: Reply(status=s, raw=b"no")) for s in (401, 403)]
    with pytest.raises(ServiceError) as caught:
        simulated(tmp_path, 50, *pools)
    first, second = str(caught.value).split("; http")
    assert first.startswith("http://host0/v1 refused: HTTP 401 no; check synthesis.model = 'm' and")
    assert second.startswith("://host1/v1 refused: HTTP 403 no")
    assert [len(pool.sent) for pool in pools] == [4, 4]


def test_names_keys_and_request_keys_of_endpoints(tmp_path: Path) -> None:
    """Each endpoint is asked by its own name of the model; what was asked is known to both."""
    with ScriptedServer() as one, ScriptedServer() as two:
        endpoints = [
            EndpointConfig(base_url=one.url, model="m-local", concurrency=1),
            EndpointConfig(base_url=two.url, concurrency=1),
        ]
        ask(endpoints, tmp_path, asks(*map(str, range(20))))
        assert {body["model"] for body in one.requests} == {"m-local"}
        assert {body["model"] for body in two.requests} == {"m"}
        assert len(one.requests) + len(two.requests) == 20
        ask(endpoints[:1], tmp_path, asks(*map(str, range(20))))
        assert len(one.requests) + len(two.requests) == 20


UNSUPPORTED = {
    "max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
    "temperature": "'temperature' does not support 0.4 with this model.",
    "seed": "Unrecognized request argument supplied: seed",
}


def picky(body: dict[str, Any]) -> Reply:
    """Refuse one unsupported parameter at a time, as servers do."""
    for name, message in UNSUPPORTED.items():
        if name in body:
            error = {"message": message, "param": name, "code": "unsupported_parameter"}
            return raw({"error": error}, status=400)
    return fine(body)


def test_a_server_is_asked_without_what_it_does_not_take(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Each step is taken once, remembered, and told by the answers; the keys stay."""
    server.script = picky
    client = ask(server.url, tmp_path, asks(*map(str, range(30))), concurrency=3, max_attempts=1)
    assert client.failures == {}
    steps = "max_completion_tokens,no_temperature,no_seed"
    assert {answer.steps for answer in known(tmp_path).values()} == {steps}
    assert set(known(tmp_path)) == set(map(str, range(30)))
    refused = [body for body in server.requests if UNSUPPORTED.keys() & body.keys()]
    assert len(refused) <= 3 * 3  # a window each
    assert server.requests[-1]["max_completion_tokens"] == 64


@pytest.mark.parametrize("name", ["max_tokens", "seed"])
def test_a_server_that_never_stops_refusing_ends_the_run(
    server: ScriptedServer, tmp_path: Path, name: str
) -> None:
    """A step that was taken in vain is not taken again, nor undone."""
    error = {"code": "unsupported_parameter", "message": f"max_completion_tokens {name} no"}
    server.script = lambda _: raw({"error": error}, status=400)
    with pytest.raises(ServiceError, match=r"refused: HTTP 400 max_completion_tokens"):
        ask(server.url, tmp_path, asks("a"), concurrency=1)
    assert 2 <= len(server.requests) <= 3


def test_one_request_that_cannot_be_answered_fails_alone(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """A prompt that is too long is no reason to end the run, nor to try it again."""
    long = raw({"error": {"code": "context_length_exceeded", "message": "too long"}}, status=400)
    server.script = lambda body: long if prompt_of(body) == "b" else fine(body)
    client = ask(server.url, tmp_path, asks(*"abc"))
    assert client.failures == {"the prompt is too long for the model": 1}
    assert set(known(tmp_path)) == {"a", "c"}
    assert len(server.requests) == 3
