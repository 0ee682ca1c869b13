"""Keep-alive connections to one endpoint: 55 µs of CPU a request where the SDK takes 2,600.

Plain HTTP/1.1 over asyncio. A proxy is the SDK's business (`sdk.py`).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import urllib.request
from typing import Any, Protocol

from curation.synthesis.endpoints import split_url
from curation.synthesis.http1 import BrokenReplyError, Parser, Reply
from curation.synthesis.requests import PATHS, Kind

_IDLE_SECONDS = 4.0  # common servers close an idle connection after 5 s


class UnreachableError(Exception):
    """No connection: nothing was sent."""


class Pool(Protocol):
    """What carries requests to an endpoint."""

    async def post(self, kind: Kind, body: dict[str, Any]) -> Reply:
        """Return the answer, of any status.

        Raises `UnreachableError` where nothing was sent, `BrokenReplyError` or `OSError` where
        the answer got lost.
        """

    async def close(self) -> None:
        """Close all connections."""


class ConnectionPool:
    """Connections of our own; one that fails or is cancelled is closed, never used again."""

    def __init__(self, base_url: str, key: str) -> None:
        parts = split_url(base_url)
        is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if is_tls else 80)
        self._tls = ssl.create_default_context() if is_tls else None
        self._idle: list[tuple[_Connection, float]] = []
        self._heads = {
            kind: _head(parts.path, parts.query, parts.netloc, key, kind) for kind in PATHS
        }

    async def post(self, kind: Kind, body: dict[str, Any]) -> Reply:
        """Send a request over an idle connection, or a new one."""
        data = json.dumps(body).encode()
        connection = self._idle_connection() or await self._connect()
        try:
            reply = await connection.ask(b"%b%d\r\n\r\n%b" % (self._heads[kind], len(data), data))
        except BaseException:
            connection.close()
            raise
        if reply.keep_alive:
            self._idle.append((connection, asyncio.get_running_loop().time()))
        else:
            connection.close()
        return reply

    async def close(self) -> None:
        """Close the idle connections; the others close with their requests."""
        for connection, _ in self._idle:
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)  # lets the sockets close

    def _idle_connection(self) -> _Connection | None:
        while self._idle:
            connection, since = self._idle.pop()
            is_fresh = asyncio.get_running_loop().time() - since < _IDLE_SECONDS
            if is_fresh and connection.is_open:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                _Connection, self._host, self._port, ssl=self._tls, happy_eyeballs_delay=0.25
            )
        except OSError as error:  # refused, no such host, a certificate that does not fit
            raise UnreachableError(_cause(error)) from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = Parser()
        self._waiting: asyncio.Future[Reply] | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, data: bytes) -> asyncio.Future[Reply]:
        self._parser = Parser()
        self._waiting = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self._settle(ConnectionResetError("the connection was closed"))
        else:
            self._transport.write(data)
        return self._waiting

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:
            self.close()  # nobody asked
            return
        try:
            reply = self._parser.feed(data)
        except BrokenReplyError as error:
            self._settle(error)
            self.close()
            return
        if reply is not None:
            self._settle(reply)

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is None:
            return
        try:
            self._settle(error or self._parser.end())
        except BrokenReplyError as broken:
            self._settle(broken)

    def _settle(self, outcome: Reply | Exception) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        if isinstance(outcome, Exception):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)


def _head(path: str, query: str, netloc: str, key: str, kind: str) -> bytes:
    """Return a request's head up to the value of its last header, the content's length."""
    target = path.rstrip("/") + PATHS[kind].removeprefix("/v1") + (f"?{query}" if query else "")
    return (
        f"POST {target} HTTP/1.1\r\nHost: {netloc}\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\nAccept: application/json\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: threefold\r\nContent-Length: "
    ).encode("ascii")


def _cause(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; see SSL_CERT_FILE"
    is_numbered = bool(error.errno) and not isinstance(error, socket.gaierror | ssl.SSLError)
    text = os.strerror(error.errno) if is_numbered and error.errno else error.strerror
    return text or str(error) or type(error).__name__


def is_proxied(base_url: str) -> bool:
    """Tell whether the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY) names a proxy for a URL.

    This machine is never asked by way of another one.
    """
    parts = split_url(base_url)
    if parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return False
    proxies = urllib.request.getproxies_environment()
    has_proxy = bool(proxies.get(parts.scheme) or proxies.get("all"))
    return has_proxy and not urllib.request.proxy_bypass(parts.hostname or "")


def open_pool(base_url: str, key: str) -> Pool:
    """Return what carries requests to an endpoint: own connections, behind a proxy the SDK."""
    if is_proxied(base_url):
        from curation.synthesis.sdk import SdkPool

        return SdkPool(base_url, key)
    return ConnectionPool(base_url, key)
