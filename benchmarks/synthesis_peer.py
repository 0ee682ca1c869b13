"""The same requests through Bespoke Curator; runs in an environment that has it.

`PEER_PYTHON -m benchmarks.synthesis_peer curator URL COUNT CONCURRENCY`
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

TEXT = "The keeper of the lighthouse wrote a journal about storms. " * 20


def tokenizers() -> str:
    """Return the folder in which litellm ships the vocabulary that tiktoken would download."""
    spec = importlib.util.find_spec("litellm")
    assert spec
    assert spec.origin
    return str(Path(spec.origin).parent / "litellm_core_utils" / "tokenizers")


def main(url: str, count: int, concurrency: int) -> None:
    os.environ |= {"OPENAI_API_KEY": "none", "TELEMETRY_ENABLED": "0", "CURATOR_VIEWER": "0"}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CURATOR_CACHE_DIR"] = folder
        os.environ["TIKTOKEN_CACHE_DIR"] = tokenizers()
        from bespokelabs import curator

        class Asker(curator.LLM):  # type: ignore[misc]
            def prompt(self, row: dict[str, str]) -> str:
                return row["prompt"]

            def parse(self, row: dict[str, str], answer: str) -> dict[str, str]:
                return {"answer": answer}

        prompts = [
            {"prompt": f"{i} {TEXT}\n\nWrite one question about this text."} for i in range(count)
        ]
        asker = Asker(
            model_name="m",
            backend="openai",
            generation_params={"max_tokens": 64, "temperature": 0.4, "seed": 0},
            backend_params={
                "base_url": url,
                "max_requests_per_minute": 10_000_000,
                "max_tokens_per_minute": 10_000_000_000,
                "max_concurrent_requests": concurrency,
                "require_all_responses": False,
            },
        )
        started, cpu = time.perf_counter(), time.process_time()
        answers = asker(prompts)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        kept = len(answers.dataset if hasattr(answers, "dataset") else answers)
    print()
    print(
        json.dumps(
            {
                "count": count,
                "per_second": round(count / seconds, 1),
                "cpu_s_per_1000": round(1000 * cpu / count, 3),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "kept": kept,
            }
        )
    )


if __name__ == "__main__":
    _, _, url, count, concurrency = sys.argv
    main(url, int(count), int(concurrency))
