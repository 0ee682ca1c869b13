"""`python -m pipelines export`: a checkpoint for other programs."""

from __future__ import annotations

import argparse
import os

from curation import storage
from pipelines.encoders import encoder_folder
from pipelines.terminal import say


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from train import export
    from train.checkpoint import config_of, load

    folder = encoder_folder(arguments.folder)
    output = arguments.output or storage.join(folder, arguments.to)
    model = load(folder, config_of(folder))
    write = {
        "onnx": export.export_onnx,
        "sentence-transformers": export.export_sentence_transformers,
    }[arguments.to]
    differences = write(model, os.path.abspath(output))
    shown = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    say(f"export: wrote {output}; largest difference from torch: {shown}")
    return 0
