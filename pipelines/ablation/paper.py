"""The paper's ablations (arXiv 2402.03216 v4, section 4.5), to show beside ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One of its tables: nDCG@10 in per cent."""

    title: str
    modes: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]


PAPER = {
    "distillation": PaperTable(
        "MIRACL, 18 languages",
        ("dense", "sparse", "multi-vector"),
        {
            "with self-distillation": (69.2, 53.9, 70.5),
            "without self-distillation": (68.7, 36.7, 69.3),
        },
    ),
    "stages": PaperTable(
        "MIRACL, 18 languages",
        ("dense",),
        {
            "fine-tuning": (60.5,),
            "RetroMAE + fine-tuning": (66.1,),
            "RetroMAE + unsupervised + fine-tuning": (69.2,),
        },
    ),
    "long-data": PaperTable(
        "MLDR, 13 languages",
        ("dense",),
        {
            "with long-document data": (52.5,),
            "without long-document data": (41.2,),
            "without, with MCLS": (45.0,),
        },
    ),
}
