"""The options of `backfill`, the same for `python -m jobs` and `manage.py`."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from core.rules import BackfillRules
from handlers.past_orders import Wanted
from jobs.option_parser import parser_of, share_of
from jobs.selection import PASSES, Selection, digest, moment, read_ids, written

_EXAMPLE = "Example:  %(prog)s --only orders --since 365d --dry-run"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `page` None: the size that each pass has; `said` tells this selection from others."""

    selection: Selection
    said: dict[str, object]
    state: Path
    errors: Path
    share: float
    page: int | None
    restart: bool
    keep_rules: bool
    dry_run: bool
    as_json: bool
    yes: bool
    with_consent: bool = False

    @property
    def asks(self) -> bool:
        """Whether somebody has to say yes before flows are started."""
        return self.selection.wanted.flows and not (self.dry_run or self.yes)


def parsed(
    arguments: Sequence[str], rules: BackfillRules, program: str, *, described: Sequence[argparse.ArgumentParser] = ()
) -> Options:
    """The options. Wrong ones end the process with 2, and what is wrong on stderr.

    `described` are parsers whose options the help shows too: the caller has read those already.
    """
    parser = _parser(rules, program, described)
    told = parser.parse_args(arguments)
    now = datetime.now(UTC)
    passes = tuple(name for name in PASSES if name in told.only) if told.only else PASSES
    times = {}
    for name in ("since", "until"):
        text = getattr(told, name)
        try:
            times[name] = moment(text, now) if text else None
        except (ValueError, OverflowError):
            parser.error(f"--{name} must be a date, a time, or a span such as 26h or 30d, not {text!r}")
    since, until = times["since"], min(times["until"] or now, now)
    ids = None
    errors = told.errors or told.state.with_name(f"{told.state.stem.removesuffix('-state')}-errors.jsonl")
    if told.ids:
        if told.since or told.until:
            parser.error("--ids does those ids alone: leave --since and --until out")
        try:
            ids = read_ids(told.ids, passes)
        except (OSError, ValueError) as error:
            parser.error(f"--ids {told.ids}: {error.strerror if isinstance(error, OSError) else error}")
        errors = told.errors or told.ids.with_name(f"{told.ids.stem}.left.jsonl")
        if errors.resolve() == told.ids.resolve():
            parser.error("--errors must be another file than --ids")
        passes = tuple(name for name in passes if name in ids)
    if since and since >= until:
        parser.error("--since must be before --until")
    wanted = Wanted(told.flows, not told.skip_guests)
    selection = Selection(passes, since, until, now, told.window, not told.oldest_first, ids, wanted)
    said: dict[str, object] = {"since": told.since, "until": told.until, "window": told.window}
    said |= {"oldest_first": told.oldest_first, "flows": told.flows, "skip_guests": told.skip_guests}
    said |= {"ids": digest(ids) if ids is not None else None}
    if told.with_consent:
        said["with_consent"] = True
    options = Options(
        selection, said, told.state, errors, told.share, told.page, told.restart, told.keep_rules, told.dry_run,
        told.json, told.yes, told.with_consent,
    )  # fmt: skip
    if options.asks and not sys.stdin.isatty():
        parser.error("--flows may mail people about old orders: where nobody can be asked, --yes must say so")
    return options


def default_state() -> Path:
    """The state file, where no option names one."""
    return Path(os.environ.get("BACKFILL_STATE") or "backfill-state.json")


def resumed(selection: Selection, began: Mapping[str, str]) -> Selection:
    """The selection with the times that it had when the run began: now, and spans before now, have moved since."""
    since = began["since"]
    return replace(
        selection,
        since=datetime.fromisoformat(since) if since else None,
        until=datetime.fromisoformat(began["until"]),
        started=datetime.fromisoformat(began["started"]),
    )


def began_with(selection: Selection) -> dict[str, str]:
    """What `resumed` takes."""
    return {
        "since": written(selection.since) if selection.since else "",
        "until": written(selection.until),
        "started": written(selection.started),
    }


def _parser(
    rules: BackfillRules, program: str, described: Sequence[argparse.ArgumentParser]
) -> argparse.ArgumentParser:
    parser = parser_of(
        program,
        "Load a shop's past into Klaviyo: catalog, customers, orders and refunds. Events are sent with"
        " `backfill` and start no flow, unless --flows says so. Kill it at any moment: the same command goes on.",
        _EXAMPLE,
        described,
    )
    add = parser.add_argument
    add("--only", action="append", choices=PASSES, metavar="PASS", help=f"{', '.join(PASSES)}; may be repeated")
    add("--since", metavar="TIME", help="orders and refunds from then on, and what else changed since: a date, a time,"
        " or a span such as 30d")  # fmt: skip
    add("--until", metavar="TIME", help="orders and refunds before it (now)")
    add("--ids", type=Path, metavar="FILE", help="these alone: an id a line, or an errors file")
    add("--state", type=Path, metavar="FILE", help="where the run notes how far it is (BACKFILL_STATE, else"
        " backfill-state.json)", default=default_state())  # fmt: skip
    add("--errors", type=Path, metavar="FILE", help="what can't be done (backfill-errors.jsonl, beside the state)")
    add("--share", type=share_of, default=rules.share, metavar="0.5", help="part of Klaviyo's limits to use when"
        f" others call too ({rules.share})")  # fmt: skip
    add("--oldest-first", action="store_true", help="begin with the oldest orders, not with the newest")
    add("--window", type=_count, default=rules.order_window, metavar="DAYS", help="days of orders that are read as one"
        f" window ({rules.order_window})")  # fmt: skip
    add("--skip-guests", action="store_true", help="leave out orders without a customer, and their refunds")
    add("--with-consent", action="store_true", help="subscribe customers whose field says yes, at its own time and"
        " without a confirmation mail; needs [consent] consented_at")  # fmt: skip
    add("--flows", action="store_true", help="have Klaviyo start flows for old orders: asks first, as it may mail"
        " people")  # fmt: skip
    add("--yes", action="store_true", help="do not ask")
    add("--page", type=_page, metavar="N", help="documents a page, at most 500")
    add("--restart", action="store_true", help="forget the state file, and begin anew")
    add("--keep-rules", action="store_true", help="go on although sync.toml changed")
    add("--dry-run", action="store_true", help="count, and send nothing: events, money, hours")
    add("--json", action="store_true", help="print one JSON object at the end")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _page(text: str) -> int:
    number = _count(text)
    if number > 500:  # noqa: PLR2004 - commercetools' own limit
        raise ValueError
    return number
