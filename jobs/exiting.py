"""The end of the process."""

import os
import sys

from jobs.outcome import Outcome


def leave(outcome: Outcome, code: int) -> None:
    """Exit with a code; at once where threads are still at work on a page that was dropped."""
    if outcome.abandons:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
