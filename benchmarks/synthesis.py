"""The client of `make synth` against a scripted server: rate, CPU, memory, cost of kept answers.

`python -m benchmarks.synthesis rate|memory|peers [PEER_PYTHON]`: see `synthesis.md`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation.synthesis.client import Client
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.requests import Request, request_body
from curation.synthesis.responses import ResponseLog

LATENCY = 0.05
TEXT = "The keeper of the lighthouse wrote a journal about storms. " * 20
TROUBLE = ("0.10", "0.05", "0.05")  # truncated, garbage, 429
INPUT_PRICE, OUTPUT_PRICE = 0.15, 0.60  # USD per million tokens
ROOT = Path(__file__).parents[1]


def prompt(i: int) -> str:
    return f"{i} {TEXT}\n\nWrite one question about this text."


@contextmanager
def server(*shares: str) -> Iterator[str]:
    """Serve in a process of its own; yield the base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.synthesis_server", str(port), str(LATENCY)]
    with subprocess.Popen([*command, *shares], cwd=ROOT) as process:
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def tally(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own server
        found: dict[str, int] = json.load(answer)
    return found


def ours(url: str, count: int, concurrency: int) -> dict[str, Any]:
    """Ask `count` requests; return time, CPU, memory and what was kept."""
    config = SynthesisConfig(base_url=url, model="m", concurrency=concurrency, timeout_seconds=60)
    with tempfile.TemporaryDirectory() as folder:
        log = ResponseLog(folder)
        client = Client(config, log)
        started, cpu = time.perf_counter(), time.process_time()
        client.ask_all(requests(count, config))
        log.close()
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        finals = log.read(request.key for request in requests(count, config))
        kept = sum(answer.finish_reason == "stop" for answer in finals)
    return result(count, seconds, cpu, kept)


def requests(count: int, config: SynthesisConfig) -> Iterator[Request]:
    for i in range(count):
        yield Request(f"{i:032x}", "chat", request_body("chat", prompt(i), (), config))


def bare(url: str, count: int, concurrency: int) -> dict[str, Any]:
    """Send the same bodies with nothing around: what this server gives on this machine."""
    config = SynthesisConfig(base_url=url, model="m")
    body = json.dumps(next(requests(1, config)).body).encode()
    port = int(url.rpartition(":")[2].partition("/")[0])
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"

    class Asker(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.answer.set_result(data)  # a few hundred bytes: one piece

        def ask(self) -> asyncio.Future[bytes]:
            self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self.transport.write(head.encode() + body)
            return self.answer

    async def run() -> None:
        loop = asyncio.get_running_loop()
        left = iter(range(count))

        async def worker() -> None:
            _, asker = await loop.create_connection(Asker, "127.0.0.1", port)
            for _ in left:
                await asker.ask()

        await asyncio.gather(*(worker() for _ in range(concurrency)))

    started, cpu = time.perf_counter(), time.process_time()
    asyncio.run(run())
    return result(count, time.perf_counter() - started, time.process_time() - cpu, count)


def result(count: int, seconds: float, cpu: float, kept: int) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "count": count,
        "per_second": round(count / seconds, 1),
        "cpu_s_per_1000": round(1000 * cpu / count, 3),
        "peak_mb": round(peak),
        "kept": kept,
    }


def child(kind: str, url: str, count: int, concurrency: int, python: str = "") -> dict[str, Any]:
    """Run one measurement in a fresh process."""
    module = "benchmarks.synthesis" if kind in ("ours", "bare") else "benchmarks.synthesis_peer"
    command = [python or sys.executable, "-m", module, kind, url, str(count), str(concurrency)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(name: str, concurrency: int, row: dict[str, Any], **more: Any) -> None:
    load = os.getloadavg()[0]
    values = row | more | {"load": round(load, 1)}
    print(f"{name:<8} {concurrency:>4}", *(f"{k}={v}" for k, v in values.items()), flush=True)


def rate() -> None:
    """Our rate beside the bare one, turn and turn about."""
    for concurrency, count in ((64, 15_000), (256, 40_000)):
        for _ in range(2):
            with server() as url:
                most = child("bare", url, count, concurrency)
                show("bare", concurrency, most)
                found = child("ours", url, count, concurrency)
            share = found["per_second"] / min(most["per_second"], concurrency / LATENCY)
            show("ours", concurrency, found, share_of_ideal=f"{share:.1%}")


def memory() -> None:
    for count in (20_000, 200_000):
        with server() as url:
            show("ours", 256, child("ours", url, count, 256))


def peers(python: str) -> None:
    """The same requests by a peer, with and without trouble, and what 1,000 kept ones cost."""
    for shares in ((), TROUBLE, (*TROUBLE, "1")):
        print("shares:", *(shares or ["none"]))
        for concurrency in (64, 256):
            for kind in ("ours", "curator"):
                with server(*shares) as url:
                    interpreter = python if kind != "ours" else ""
                    row = child(kind, url, 2000, concurrency, interpreter)
                    billed = tally(url)
                usd = billed["input_tokens"] * INPUT_PRICE + billed["output_tokens"] * OUTPUT_PRICE
                each = usd / 1e6 / max(1, row["kept"]) * 1000
                sent = billed["requests"]
                show(kind, concurrency, row, sent=sent, usd_per_1000_kept=f"{each:.4f}")


if __name__ == "__main__":
    if sys.argv[1] in ("ours", "bare"):
        kind, url, count, concurrency = sys.argv[1:]
        print(json.dumps((ours if kind == "ours" else bare)(url, int(count), int(concurrency))))
    elif sys.argv[1] == "peers":
        peers(sys.argv[2])
    else:
        {"rate": rate, "memory": memory}[sys.argv[1]]()
