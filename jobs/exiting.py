"""Ending the process."""

import os
import sys

from jobs.outcome import Outcome


def exit_process(outcome: Outcome, code: int) -> None:
    """Exit with a code, without waiting for threads that are still working on a dropped page."""
    if outcome.leaves_threads:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
