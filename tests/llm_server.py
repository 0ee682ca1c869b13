"""A local OpenAI-compatible server that does what a test tells it."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One scripted answer: a completion, or raw bytes with any status."""

    text: str = ""
    finish_reason: str = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json"
    delay: float = 0.0
    drop: bool = False
    drip: float = 0.0
    """Seconds between the bytes of the body."""
    usage: tuple[int, int] | None = (10, 5)
    """Input and output tokens; None: the server does not tell."""


def default_reply(body: dict[str, Any]) -> Reply:
    """Ask for the first name in the prompt that is no label."""
    prompt = str(body.get("prompt") or body["messages"][0]["content"])
    text = prompt.rpartition("\n\n")[0] or prompt
    name = max(text.split(), key=lambda word: (word[:1].isupper(), len(word))).strip(".,:")
    return Reply(f" the lighthouse of {name} and who built it")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # with the usual 5, a burst of connections is reset


class ScriptedServer:
    """`with ScriptedServer() as server:` serves at `server.url`; `server.script` answers."""

    def __init__(self, script: Callable[[dict[str, Any]], Reply] = default_reply) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.authorizations: set[str] = set()
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def wrap(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        body = json.loads(handler.rfile.read(length))
        with self._lock:
            self.requests.append(body)
            self.authorizations.add(handler.headers.get("Authorization", ""))
        reply = self.script(body)
        time.sleep(reply.delay)
        if reply.drop:
            handler.close_connection = True
            handler.connection.close()
            return
        data = reply.raw if reply.raw is not None else json.dumps(completion(body, reply)).encode()
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.content_type)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if not reply.drip:
            handler.wfile.write(data)
            return
        with contextlib.suppress(OSError):  # the client has had enough
            for byte in data:
                handler.wfile.write(bytes([byte]))
                time.sleep(reply.drip)


def completion(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": reply.finish_reason}
    if "prompt" in body:
        choice["text"] = reply.text
        kind = "text_completion"
    else:
        choice["message"] = {"role": "assistant", "content": reply.text}
        kind = "chat.completion"
    answer = {"id": "x", "object": kind, "created": 0, "model": body["model"], "choices": [choice]}
    return answer | ({"usage": usage_of(reply.usage)} if reply.usage else {})


def usage_of(tokens: tuple[int, int]) -> dict[str, int]:
    given, made = tokens
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
