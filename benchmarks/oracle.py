"""Compare scores, loss, gradients and a saved checkpoint with FlagEmbedding, live.

Runs under a Python that has FlagEmbedding 1.4.2 (benchmarks/training.md says how to make one):

    PYTHONPATH=. ORACLE/bin/python -m benchmarks.oracle          # prints the differences
    PYTHONPATH=. ORACLE/bin/python -m benchmarks.oracle --write  # and writes the golden numbers
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from FlagEmbedding import BGEM3FlagModel
from FlagEmbedding.finetune.embedder.encoder_only.m3.modeling import EncoderOnlyEmbedderM3Model

from tests import families, golden
from tests.builders import PARAGRAPH, TOPICS, articles
from train import scoring
from train.checkpoint import load, save
from train.config import ModelConfig
from train.scoring import Embeddings

TEXTS = [*(row["text"] for row in articles("en", 4)), *TOPICS.values(), PARAGRAPH, "the sea"]


def theirs(family: str) -> golden.Parameters:
    """Return what FlagEmbedding computes of a case, under the names of the golden file."""
    found: golden.Parameters = {}
    for objective, distills in golden.OBJECTIVES.items():
        model, case = _their_model(family, distills)
        queries, passages = _features(case.queries), _features(case.passages)
        loss = model(queries, passages).loss
        loss.backward()
        found[f"{family}/{objective}/loss"] = loss.detach().numpy()
        for name, parameter in model.named_parameters():
            name = name.replace("model.", "encoder.", 1)
            found[f"{family}/{objective}/gradient/{name}"] = parameter.grad.numpy()
        with torch.no_grad():
            scores = _their_scores(model, queries, passages)
        for head, values in zip(golden.HEADS, scores, strict=True):
            found[f"{family}/{head}"] = (values * golden.TEMPERATURE).numpy()
    return found


def _their_model(family: str, distills: bool) -> tuple[Any, golden.Case]:
    case = golden.build_case(family)
    parts = {"model": case.encoder}
    for name, (weight, bias) in case.heads.items():
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": bias})
        parts[f"{name}_linear"] = linear
    model = EncoderOnlyEmbedderM3Model(
        parts,
        tokenizer=case.tokenizer,
        temperature=golden.TEMPERATURE,
        normalize_embeddings=True,
        unified_finetuning=True,
        use_self_distill=distills,
    )
    return model.train(), case


def _features(ids: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _their_scores(model: Any, queries: Any, passages: Any) -> tuple[torch.Tensor, ...]:
    q_dense, q_sparse, q_vectors = model.encode(queries)
    p_dense, p_sparse, p_vectors = model.encode(passages)
    return (
        model.compute_dense_score(q_dense, p_dense),
        model.compute_sparse_score(q_sparse, p_sparse),
        model.compute_colbert_score(q_vectors, p_vectors, q_mask=queries["attention_mask"]),
    )


def compare_cases(reference: golden.Parameters) -> None:
    """Print the largest difference of scores, losses and gradients, per family."""
    for family in golden.FAMILIES:
        mine = golden.ours(family)
        for kind in ("dense", "sparse", "multi_vector", "loss", "gradient"):
            names = [n for n in mine if n.startswith(family) and kind in n.split("/")]
            worst = max(float(np.abs(mine[n] - reference[n]).max()) for n in names)
            size = max(float(np.abs(reference[n]).max()) for n in names)
            count = sum(mine[n].size for n in names)
            print(f"{family:12} {kind:13} {count:6} numbers up to {size:8.3f}: {worst:.1e}")


def compare_checkpoint(family: str, folder: Path) -> None:
    """Print how far BGEM3FlagModel, on a checkpoint saved by us, is from our embeddings."""
    families.build_family(folder / "encoder", family, TEXTS)
    config = ModelConfig(max_query_tokens=64, max_passage_tokens=256)
    model = load(str(folder / "encoder"), config)
    torch.nn.init.normal_(model.sparse_linear.weight, std=0.05)
    torch.nn.init.constant_(model.sparse_linear.bias, 0.6)
    save(model, str(folder / "model"))
    if family == "bert":  # it zeroes the weight of eos, and fails where the tokenizer names none
        path = folder / "model" / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token": "[SEP]"}))
    reference = BGEM3FlagModel(str(folder / "model"), use_fp16=False, devices="cpu")
    found = reference.encode(TEXTS, return_sparse=True, return_colbert_vecs=True, max_length=256)
    rows = model.tokenize(TEXTS, is_query=False)
    with torch.no_grad():
        mine = model(*model.pad(rows))
    _print_checkpoint_differences(family, reference, found, mine, rows)


def _print_checkpoint_differences(
    family: str, reference: Any, found: Any, mine: Embeddings, rows: list[list[int]]
) -> None:
    dense = np.abs(found["dense_vecs"] - mine.dense.numpy()).max()
    vectors = [
        np.abs(theirs - mine.vectors[i, 1 : len(rows[i])].numpy()).max()
        for i, theirs in enumerate(found["colbert_vecs"])
    ]
    weights = []
    for i, theirs in enumerate(found["lexical_weights"]):
        largest: dict[str, float] = {}
        for token, weight in zip(rows[i], mine.weights[i].tolist(), strict=False):
            if weight > 0:
                largest[str(token)] = max(weight, largest.get(str(token), 0.0))
        assert set(theirs) == set(largest)
        weights += [abs(float(theirs[token]) - largest[token]) for token in largest]
    print(
        f"{family:12} BGEM3FlagModel on our checkpoint: dense {dense:.1e}, token weights "
        f"{max(weights):.1e}, token vectors {max(vectors):.1e}"
    )
    _print_score_differences(family, reference, found, scoring.all_scores(mine, mine))


def _print_score_differences(family: str, reference: Any, found: Any, scores: Any) -> None:
    lexical, words = found["lexical_weights"], found["colbert_vecs"]
    pairs = [(i, j) for i in range(len(TEXTS)) for j in range(len(TEXTS))]
    sparse, multi = (score.numpy() for score in scores[1:])
    worst = [0.0, 0.0]
    for i, j in pairs:
        theirs = reference.compute_lexical_matching_score(lexical[i], lexical[j])
        worst[0] = max(worst[0], abs(theirs - sparse[i, j]))
        worst[1] = max(
            worst[1], abs(float(reference.colbert_score(words[i], words[j])) - multi[i, j])
        )
    print(
        f"{family:12} its scores of {len(pairs)} pairs: sparse {worst[0]:.1e}, multi-vector "
        f"{worst[1]:.1e}"
    )


def main() -> None:
    """Run all comparisons."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = ("FlagEmbedding", "torch", "transformers", "numpy")
    print(", ".join(f"{name} {version(name)}" for name in names))
    reference = {k: v for family in golden.FAMILIES for k, v in theirs(family).items()}
    if "--write" in sys.argv:
        golden.GOLDEN_FILE.parent.mkdir(exist_ok=True)
        np.savez_compressed(golden.GOLDEN_FILE, **reference)
        print(f"wrote {golden.GOLDEN_FILE}, {golden.GOLDEN_FILE.stat().st_size:,} bytes")
    compare_cases(reference)
    for family in golden.FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            compare_checkpoint(family, Path(folder))


if __name__ == "__main__":
    main()
