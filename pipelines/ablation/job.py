"""The steps of one job in one process: `python -m pipelines.ablation.job CONFIG STEP ...`."""

from __future__ import annotations

import sys

from pipelines import cli


def main(arguments: list[str]) -> int:
    """Run the steps on a config file one after the other; return the first status that is not 0."""
    config, *steps = arguments
    for step in steps:
        status = cli.main([step, "--config", config])
        if status:
            return status
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
