"""Loads what a worker loads, with the packages that it lacks made unimportable."""

import importlib
import os
import pkgutil
import sys

MODULES = ("curate", "synth", "shards", "parts", "compact", "stored", "merges", "worker")
ABSENT = ("accelerate", "faiss", "pytrec_eval", "safetensors", "torch", "transformers")


def main() -> None:
    """Import every module of curation and the Beam parts; run the language engines once."""
    for name in ABSENT:
        sys.modules[name] = None
    import curation

    for module in pkgutil.walk_packages(curation.__path__, "curation."):
        importlib.import_module(module.name)
    for name in MODULES:
        importlib.import_module(f"pipelines.{name}")
    from curation.language import LanguageDetector

    text = "The lamp can be seen for thirty kilometres, and the keeper still climbs the stairs."
    assert LanguageDetector().detect(text, None).language == "en"
    sys.stdout.write(f"worker image: all modules load under Python {sys.version.split()[0]}\n")


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main()
