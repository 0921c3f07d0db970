"""What the option parsers of all jobs share."""

import argparse
from collections.abc import Sequence

_WIDTH = 80


def parser_of(
    program: str, description: str, epilog: str, parents: Sequence[argparse.ArgumentParser] = ()
) -> argparse.ArgumentParser:
    """A parser for a job's options. A wrong option ends the process with 2.

    `parents` are parsers whose options `--help` lists as well; the caller has already parsed those.
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
    """A share of Klaviyo's rate limits, above 0 and at most 1. Raises ValueError."""
    share = float(text)
    if not 0 < share <= 1:
        raise ValueError
    return share
