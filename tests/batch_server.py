"""A local server with the files and batches of a hosted Batch API, and its rules for input."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

KEY = "sk-batch-secret-0123456789"
_PAGE = 2  # batches and files per page: lists are always read over several
_MOST_REQUESTS = 50_000


class BatchServer:
    """`with BatchServer() as server:`; a batch stays in progress until a test ends it."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.before_answer: Callable[[str], bool] = lambda path: True
        """Called with `POST /path` before the answer leaves; False drops the connection."""
        self.calls: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.handle(self)

            def do_POST(self) -> None:
                server.handle(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> BatchServer:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        call = f"{handler.command} {urlparse(handler.path).path.removeprefix('/v1')}"
        self.calls.append(call)
        if handler.headers["Authorization"] != f"Bearer {KEY}":
            given = handler.headers["Authorization"].removeprefix("Bearer ")
            error = {"message": f"Incorrect API key provided: {given}", "code": "invalid_api_key"}
            return self._send(handler, 401, {"error": error})
        status, answer = self._answer(call, data, handler)
        if not self.before_answer(call):
            handler.close_connection = True
            handler.connection.close()
            return None
        return self._send(handler, status, answer)

    def _send(self, handler: BaseHTTPRequestHandler, status: int, answer: Any) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _answer(self, call: str, data: bytes, handler: BaseHTTPRequestHandler) -> tuple[int, Any]:
        method, _, path = call.partition(" ")
        name, _, rest = path.strip("/").partition("/")
        query = {key: value[0] for key, value in parse_qs(urlparse(handler.path).query).items()}
        kept: dict[str, Any] = {"files": self.files, "batches": self.batches}[name]
        if method == "POST":
            make = self._upload if name == "files" else self._create
            return 200, make(data, handler.headers["Content-Type"])
        if not rest:
            return 200, _page(kept, query)
        identity, _, wanted = rest.partition("/")
        if identity not in (self.contents if wanted else kept):
            return 404, {"error": {"message": f"No such object: {identity}", "code": None}}
        return 200, self.contents[identity] if wanted else kept[identity]

    def _upload(self, data: bytes, kind: str) -> dict[str, Any]:
        parts = _form(data, kind)
        assert parts["purpose"] == ("", b"batch")
        filename, content = parts["file"]
        return self.add_file(content, filename, "batch")

    def add_file(self, content: bytes, filename: str, purpose: str) -> dict[str, Any]:
        identity = f"file-{len(self.files)}"
        self.contents[identity] = content
        self.files[identity] = {
            "id": identity, "object": "file", "bytes": len(content), "filename": filename,
            "created_at": int(time.time()), "purpose": purpose, "status": "processed",
        }  # fmt: skip
        return self.files[identity]

    def _create(self, data: bytes, _: str) -> dict[str, Any]:
        body = json.loads(data)
        assert body["completion_window"] == "24h"
        identity = f"batch_{len(self.batches)}"
        content = self.contents[body["input_file_id"]]
        problems = input_problems(content, body["endpoint"])
        self.batches[identity] = {
            "id": identity, "object": "batch", "created_at": int(time.time()),
            "status": "failed" if problems else "in_progress",
            "errors": {"object": "list", "data": problems} if problems else None,
            "request_counts": {"total": content.count(b"\n"), "completed": 0, "failed": 0},
        } | body  # fmt: skip
        return self.batches[identity]

    def requests(self, identity: str) -> list[dict[str, Any]]:
        """Return the lines of a batch's input."""
        content = self.contents[self.batches[identity]["input_file_id"]]
        return [json.loads(line) for line in content.splitlines()]

    def end(
        self,
        identity: str,
        status: str = "completed",
        output: list[Any] | None = None,
        errors: list[Any] | None = None,
    ) -> None:
        """End a batch with the lines of its two files; None: there is no such file."""
        batch = self.batches[identity]
        batch["status"] = status
        for name, rows in (("output_file_id", output), ("error_file_id", errors)):
            if rows is not None:
                lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows]
                data = b"".join(line + b"\n" for line in lines)
                batch[name] = self.add_file(data, f"{name}.jsonl", "batch_output")["id"]
        completed, failed = len(output or ()), len(errors or ())
        batch["request_counts"] |= {"completed": completed, "failed": failed}


def answer_row(request: dict[str, Any], text: str) -> dict[str, Any]:
    """Return an output line that answers a request."""
    body: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000,
        "model": request["body"]["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                     "message": {"role": "assistant", "content": text, "refusal": None}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }  # fmt: skip
    if request["url"] == "/v1/completions":
        body["object"] = "text_completion"
        body["choices"] = [{"index": 0, "finish_reason": "stop", "logprobs": None, "text": text}]
    response = {"status_code": 200, "request_id": "req_1", "body": body}
    return {
        "id": "batch_req_1",
        "custom_id": request["custom_id"],
        "response": response,
        "error": None,
    }


def error_row(request: dict[str, Any], status: int, message: str) -> dict[str, Any]:
    """Return an error line: the request was refused."""
    body = {"error": {"message": message, "type": "invalid_request_error", "code": None}}
    response = {"status_code": status, "request_id": "req_2", "body": body}
    return {
        "id": "batch_req_2",
        "custom_id": request["custom_id"],
        "response": response,
        "error": None,
    }


def expired_row(request: dict[str, Any]) -> dict[str, Any]:
    """Return an error line: there was no time for the request."""
    error = {"code": "batch_expired", "message": "The completion window expired."}
    return {
        "id": "batch_req_3",
        "custom_id": request["custom_id"],
        "response": None,
        "error": error,
    }


def input_problems(content: bytes, endpoint: str) -> list[dict[str, Any]]:
    """Return why a service would refuse an input file: its rules, line by line."""
    lines = content.split(b"\n")
    found = []
    if lines.pop() or not lines:
        found.append(_problem("empty_file", 0))
    if len(lines) > _MOST_REQUESTS or len(content) > 200_000_000:
        found.append(_problem("file_too_large", 0))
    seen: set[str] = set()
    models: set[str] = set()
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        if problem := _row_problem(row, endpoint, seen):
            found.append(_problem(problem, number))
        seen.add(row["custom_id"])
        models.add(row["body"]["model"])
    return found + ([_problem("mismatched_model", 0)] if len(models) > 1 else [])


def _row_problem(row: dict[str, Any], endpoint: str, seen: set[str]) -> str:
    if set(row) != {"custom_id", "method", "url", "body"}:
        return "invalid_json_line"
    if row["custom_id"] in seen:
        return "duplicate_custom_id"
    if row["method"] != "POST":
        return "invalid_method"
    if row["url"] != endpoint:
        return "mismatched_url"
    body = row["body"]
    if endpoint == "/v1/completions":
        return "" if isinstance(body.get("prompt"), str) else "invalid_body"
    messages = body.get("messages") or [{}]
    good = all(m.get("role") == "user" and isinstance(m["content"], str) for m in messages)
    return "" if good and body["max_tokens"] > 0 else "invalid_body"


def _problem(code: str, line: int) -> dict[str, Any]:
    return {"code": code, "message": f"{code} in the input", "line": line or None, "param": None}


def _page(kept: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Return one page, newest first, as the hosted lists do."""
    rows = list(reversed(kept.values()))
    if "purpose" in query:
        rows = [row for row in rows if row["purpose"] == query["purpose"]]
    if "after" in query:
        rows = rows[[row["id"] for row in rows].index(query["after"]) + 1 :]
    shown = rows[:_PAGE]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {}
    return {"object": "list", "data": shown, "has_more": len(rows) > _PAGE} | ends


def _form(data: bytes, kind: str) -> dict[str, tuple[str, bytes]]:
    """Return the parts of a multipart form: (file name or "", content) by field."""
    boundary = b"--" + kind.partition("boundary=")[2].strip('"').encode()
    parts = {}
    for part in data.split(boundary)[1:-1]:
        head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(re.findall(r'(name|filename)="([^"]*)"', head.decode()))
        end = b"\n" if fields.get("filename") else b""  # strip() took the file's own last newline
        parts[fields["name"]] = fields.get("filename", ""), content + end
    return parts
