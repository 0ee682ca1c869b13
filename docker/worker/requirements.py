"""Prints what a worker needs: the project's dependencies without those of training and mining.

python docker/worker/requirements.py pyproject.toml
"""

import re
import sys
import tomllib

# These run on the machine that starts a stage, never in a Beam worker: 1 GB less to pull.
NOT_ON_WORKERS = {
    "accelerate",
    "faiss-cpu",
    "pytrec-eval-terrier",
    "safetensors",
    "torch",
    "transformers",
}


def requirements(text: str) -> list[str]:
    """Return the requirement lines for a worker out of a pyproject.toml."""
    project = tomllib.loads(text)["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["gcp"]]
    return [line for line in listed if re.split(r"[\[<>=!~; ]", line)[0] not in NOT_ON_WORKERS]


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.stdout.write("\n".join(requirements(file.read())) + "\n")
