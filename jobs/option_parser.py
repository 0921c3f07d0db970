"""What the options of all jobs have in common."""

import argparse
from collections.abc import Sequence

_WIDTH = 80


def parser_of(
    program: str, description: str, epilog: str, parents: Sequence[argparse.ArgumentParser] = ()
) -> argparse.ArgumentParser:
    """A parser of a job's options; a wrong one ends the process with 2.

    `described` are parsers whose options the help shows too: the caller has read those already.
    """
    return argparse.ArgumentParser(
        program,
        parents=parents,
        description=description,
        epilog=epilog,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=_WIDTH),
        allow_abbrev=False,
    )


def share_of(text: str) -> float:
    """A part of Klaviyo's limits, above 0 and at most 1. Raises ValueError."""
    share = float(text)
    if not 0 < share <= 1:
        raise ValueError
    return share
