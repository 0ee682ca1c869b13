"""A local page and JSON API over an index, by the standard library's server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from curation.errors import ConfigError, ThreefoldError
from pipelines.search_page import POLICY, page
from pipelines.searching import Question, Searcher

_MOST_BYTES = 1 << 20  # of a request's body
_MOST_QUERIES = 100
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FIELDS = ("q", "query", "mode", "language", "top")


class SearchServer(ThreadingHTTPServer):
    """Serves one searcher; `handle_request` and `serve_forever` as any server of the library."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], searcher: Searcher) -> None:
        if ":" in address[0]:
            import socket

            self.address_family = socket.AF_INET6
        self.searcher = searcher
        self.is_local = address[0] in _LOOPBACK
        super().__init__(address, Handler)

    @property
    def modes(self) -> list[str]:
        """The modes that the index can answer, the default first."""
        first = self.searcher.default_mode
        return [first, *(mode for mode in self.searcher.index.modes if mode != first)]


class Handler(BaseHTTPRequestHandler):
    """GET / is the page; GET and POST /api/search and GET /api/info answer in JSON."""

    server: SearchServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "threefold", ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer a request for a page or for JSON."""
        if not self._is_welcome():
            return
        target = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(target.query).items()}
        if target.path == "/":
            self._page(asked)
        elif target.path == "/api/search":
            self._json(lambda: self._answer(asked))
        elif target.path == "/api/info":
            self._json(self._info)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {target.path}")

    def do_POST(self) -> None:
        """Answer a question, or a list of them, given as JSON."""
        if not self._is_welcome():
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {_MOST_BYTES:,} bytes")
            return
        body = self.rfile.read(int(length))
        if urlsplit(self.path).path != "/api/search":
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {urlsplit(self.path).path}")
        elif self.headers.get_content_type() != "application/json":
            # no page of another site can send this type unasked
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        else:
            self._json(lambda: self._answers(body))

    def _is_welcome(self) -> bool:
        """Refuse names of other sites that were made to point here (DNS rebinding)."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if self.server.is_local and host not in _LOOPBACK:
            self.close_connection = True
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to localhost only")
            return False
        return True

    def _page(self, asked: Mapping[str, str]) -> None:
        searcher, answer, error = self.server.searcher, None, ""
        shown = {
            "query": asked.get("q", ""),
            "mode": asked.get("mode") or searcher.default_mode,
            "language": asked.get("language", ""),
        }
        if "q" in asked:
            try:
                answer = searcher.ask(self._question(asked))
            except ThreefoldError as problem:
                error = str(problem)
        index = searcher.index
        text = page(index.languages, len(index), self.server.modes, shown, answer, error)
        status = HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK
        self._send(status, "text/html; charset=utf-8", text.encode())

    def _question(self, asked: Mapping[str, Any]) -> Question:
        unknown = asked.keys() - set(_FIELDS)
        if unknown:
            raise ConfigError(f"unknown field {min(unknown)!r}; known: {', '.join(_FIELDS)}")
        top = asked.get("top", 10)
        if isinstance(top, bool) or not str(top).isdecimal():
            raise ConfigError(f"top = {top!r} is no whole number")
        query = asked.get("query", asked.get("q", ""))
        mode = asked.get("mode") or self.server.searcher.default_mode
        language = asked.get("language") or ""
        if not all(isinstance(value, str) for value in (query, mode, language)):
            raise ConfigError("query, mode and language are strings")
        return Question(query=query, mode=mode, language=language, top=int(top))

    def _answer(self, asked: Mapping[str, Any]) -> Any:
        return self.server.searcher.ask(self._question(asked)).as_json()

    def _answers(self, body: bytes) -> Any:
        """Return the answer to an object, or those to a list of objects."""
        try:
            asked = json.loads(body)
        except ValueError as error:
            raise ConfigError(f"the body is no JSON: {error}") from error
        listed = asked if isinstance(asked, list) else [asked]
        if len(listed) > _MOST_QUERIES or not all(isinstance(one, dict) for one in listed):
            raise ConfigError(f"send an object with a query, or a list of up to {_MOST_QUERIES}")
        answers = [self._answer(one) for one in listed]
        return answers if isinstance(asked, list) else answers[0]

    def _info(self) -> Any:
        index = self.server.searcher.index
        return {
            "passages": len(index),
            "languages": index.languages,
            "modes": self.server.modes,
            "model": index.description["model"]["name"],
        }

    def _json(self, make: Any) -> None:
        try:
            self._send_json(HTTPStatus.OK, make())
        except ThreefoldError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._send_json(status, {"error": reason})

    def _send_json(self, status: HTTPStatus, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False)
        self._send(status, "application/json; charset=utf-8", text.encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the library's name
        """Log nothing: queries are nobody's business."""
