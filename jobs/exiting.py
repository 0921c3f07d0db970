"""The end of the process."""

import os
import sys

from jobs.outcome import Outcome


def exit_process(outcome: Outcome, code: int) -> None:
    """Exit with a code; at once where threads are still at work on a page that was dropped."""
    if outcome.leaves_threads:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
