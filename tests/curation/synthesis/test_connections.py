"""Connections of our own and the SDK's, against real sockets."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from curation.synthesis.connections import (
    ConnectionPool,
    Pool,
    UnreachableError,
    is_proxied,
    open_pool,
)
from curation.synthesis.http1 import BrokenReplyError, Reply
from curation.synthesis.sdk import SdkPool
from tests.llm_server import Reply as Scripted
from tests.llm_server import ScriptedServer

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "é日 x"}], "seed": 3}
POOLS = pytest.mark.parametrize("kind", [ConnectionPool, SdkPool], ids=["own", "sdk"])


def use(pool: Pool, work: Callable[[Pool], Awaitable[Any]]) -> Any:
    """Run something with a pool and close it."""

    async def run() -> Any:
        try:
            return await work(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


def post(pool: Pool, body: dict[str, Any] = BODY) -> Reply:
    reply = use(pool, lambda pool: pool.post("chat", body))
    assert isinstance(reply, Reply)
    return reply


@POOLS
@pytest.mark.parametrize("status", [200, 307, 400, 429, 500])
def test_any_status_comes_back_with_headers_and_body(
    server: ScriptedServer, kind: type[ConnectionPool], status: int
) -> None:
    """Body and key arrive as they are; nothing is retried behind the client's back."""
    server.script = lambda _: Scripted(status=status, raw=b"{}", headers={"Retry-After": "7"})
    reply = post(kind(server.url, "sk-1"))
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, b"{}", "7")
    assert server.requests == [BODY]
    assert server.authorizations == {"Bearer sk-1"}


@POOLS
def test_a_dropped_connection_is_told(server: ScriptedServer, kind: type[ConnectionPool]) -> None:
    server.script = lambda _: Scripted(drop=True)
    with pytest.raises((BrokenReplyError, OSError)):
        post(kind(server.url, "k"))
    assert len(server.requests) == 1


@POOLS
def test_nobody_there(kind: type[ConnectionPool]) -> None:
    """It is told from an answer that got lost: nothing was sent."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(UnreachableError):
        post(kind(f"http://127.0.0.1:{port}/v1", "k"))


def test_connections_are_kept_and_few(server: ScriptedServer) -> None:
    """Requests one after the other share a connection; no more are open than in flight."""
    seen: set[Any] = set()
    answer = server.answer

    def note(handler: Any) -> None:
        seen.add(handler.client_address)
        answer(handler)

    server.answer = note  # type: ignore[method-assign]

    async def work(pool: Pool) -> None:
        for _ in range(5):
            await pool.post("chat", BODY)
        await asyncio.gather(*(pool.post("chat", BODY) for _ in range(3)))

    use(ConnectionPool(server.url, "k"), work)
    assert len(server.requests) == 8
    assert len(seen) == 3


def test_a_connection_that_the_server_closed_is_not_used(server: ScriptedServer) -> None:
    server.script = lambda _: Scripted("x", headers={"Connection": "close"})

    async def work(pool: Pool) -> list[int]:
        return [(await pool.post("chat", BODY)).status for _ in range(3)]

    assert use(ConnectionPool(server.url, "k"), work) == [200, 200, 200]


def test_a_cancelled_request_takes_its_connection_along(server: ScriptedServer) -> None:
    """A late answer is never taken for the next request's."""
    server.script = lambda body: Scripted(str(body["seed"]), delay=0.3 if body["seed"] == 1 else 0)

    async def work(pool: Pool) -> bytes:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.post("chat", BODY | {"seed": 1}), 0.1)
        await asyncio.sleep(0.4)
        return (await pool.post("chat", BODY | {"seed": 2})).body

    assert b'"content": "2"' in use(ConnectionPool(server.url, "k"), work)


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("", "/chat/completions"),
        ("/openai/v1?api-version=2", "/openai/v1/chat/completions?api-version=2"),
    ],
    ids=["plain", "slash", "bare", "query"],
)
def test_the_path_follows_the_base_url(server: ScriptedServer, base: str, target: str) -> None:
    paths = []
    answer = server.answer

    def note(handler: Any) -> None:
        paths.append(handler.path)
        answer(handler)

    server.answer = note  # type: ignore[method-assign]
    post(ConnectionPool(server.url.removesuffix("/v1") + base, "k"))
    assert paths == [target]


@pytest.mark.parametrize(
    ("environment", "url", "proxied"),
    [
        ({}, "https://llm.example/v1", False),
        ({"HTTPS_PROXY": "http://p:1"}, "https://llm.example/v1", True),
        ({"HTTP_PROXY": "http://p:1"}, "https://llm.example/v1", False),
        ({"ALL_PROXY": "http://p:1"}, "https://llm.example/v1", True),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example"}, "https://llm.example/v1", False),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:8000/v1", False),
        ({"HTTP_PROXY": "http://p:1"}, "http://localhost:8000/v1", False),
    ],
    ids=["none", "https", "other-scheme", "all", "exempt", "loopback", "localhost"],
)
def test_proxies_of_the_environment(
    environment: dict[str, str], url: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        for spelled in (name, name.lower()):
            monkeypatch.delenv(spelled, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_proxied(url) is proxied
    assert isinstance(open_pool(url, "k"), SdkPool if proxied else ConnectionPool)


def test_a_proxy_carries_the_requests(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint whose name only the proxy knows is reached by way of it."""
    monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    reply = post(open_pool("http://llm.invalid/v1", "sk-1"))
    assert reply.status == 200
    assert server.requests == [BODY]


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS is checked; with the certificate trusted the request goes through."""
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with ScriptedServer(lambda _: Scripted("fine")) as server:
        server.wrap(context)
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(UnreachableError, match=r"certificate is not trusted: .*SSL_CERT_FILE"):
            post(ConnectionPool(url, "k"))
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        assert post(ConnectionPool(url, "k")).status == 200


def self_signed(folder: Any) -> tuple[str, str]:
    """Make a certificate for localhost with the openssl program."""
    import shutil
    import subprocess

    if not shutil.which("openssl"):
        pytest.skip("the openssl program is not installed")
    certificate, key = str(folder / "c.pem"), str(folder / "k.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key]
    command += ["-out", certificate, "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize(
    "data", [b"<html>not http", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
def test_servers_that_speak_no_http_or_half_of_it(data: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(BrokenReplyError):
            post(ConnectionPool(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "k"))
        thread.join()
