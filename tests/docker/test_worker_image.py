"""The worker image, as far as it can be tested without building it."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker/worker"


def test_a_worker_runs_without_the_packages_that_its_image_lacks() -> None:
    """Every module that workers import loads with torch and its like made unimportable."""
    result = subprocess.run(
        [sys.executable, FOLDER / "check.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("worker image: all modules load")


def test_requirements_are_the_projects_own() -> None:
    """New dependencies reach the image by themselves; those of training stay out."""
    module = runpy.run_path(str(FOLDER / "requirements.py"))
    lines = module["requirements"]((ROOT / "pyproject.toml").read_text())
    names = {re.split(r"[\[<>=]", line)[0] for line in lines}
    assert {"apache-beam", "fastwarc", "gcsfs", "pycld2", "py3langid", "tokenizers"} <= names
    assert not names & {"torch", "transformers", "faiss-cpu", "accelerate"}
    assert "apache-beam[gcp]" in {line.partition(">")[0] for line in lines}


def test_the_image_is_that_of_the_pinned_beam_and_python() -> None:
    """The boot program and the SDK in the image are of one version, the one tested here."""
    recipe = (FOLDER / "Dockerfile").read_text()
    pinned = re.search(r"^apache-beam==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert f"ARG BEAM={pinned[1]}" in recipe
    assert "ARG PYTHON=3.11" in recipe


def test_what_the_recipe_copies_is_in_its_context() -> None:
    """Each COPY names files that exist and that the ignore file lets through."""
    recipe = (FOLDER / "Dockerfile").read_text()
    allowed = {
        line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line
    }
    for line in re.findall(r"^COPY (?!--from)(.+)$", recipe, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists()
            assert source in allowed
