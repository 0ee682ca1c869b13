"""A local worker process: Beam's SDK worker with quiet logs and one thread per library.

The runner starts as many of these as it has workers. Beam logs to standard error from import
time on; only errors are for the user.
"""

from __future__ import annotations

import logging
import os
import sys

logging.disable(logging.WARNING)  # Beam sets the root level itself: a level would not last
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

if __name__ == "__main__":
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
