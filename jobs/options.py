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
from jobs.selection import PASSES, Selection, format_time, ids_digest, parse_time, read_ids

_EXAMPLE = "Example:  %(prog)s --only orders --since 365d --dry-run"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `page` None: the size that each pass has; `said` tells this selection from others."""

    selection: Selection
    resume_key: dict[str, object]
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
    def needs_confirmation(self) -> bool:
        """Whether somebody has to say yes before flows are started."""
        return self.selection.wanted.flows and not (self.dry_run or self.yes)


def parse_options(
    arguments: Sequence[str], rules: BackfillRules, program: str, *, parents: Sequence[argparse.ArgumentParser] = ()
) -> Options:
    """The options. Wrong ones end the process with 2, and what is wrong on stderr.

    `described` are parsers whose options the help shows too: the caller has read those already.
    """
    parser = _parser(rules, program, parents)
    args = parser.parse_args(arguments)
    now = datetime.now(UTC)
    passes = tuple(name for name in PASSES if name in args.only) if args.only else PASSES
    times = {}
    for name in ("since", "until"):
        text = getattr(args, name)
        try:
            times[name] = parse_time(text, now) if text else None
        except (ValueError, OverflowError):
            parser.error(f"--{name} must be a date, a time, or a span such as 26h or 30d, not {text!r}")
    since, until = times["since"], min(times["until"] or now, now)
    ids = None
    errors = args.errors or args.state.with_name(f"{args.state.stem.removesuffix('-state')}-errors.jsonl")
    if args.ids:
        if args.since or args.until:
            parser.error("--ids does those ids alone: leave --since and --until out")
        try:
            ids = read_ids(args.ids, passes)
        except (OSError, ValueError) as error:
            parser.error(f"--ids {args.ids}: {error.strerror if isinstance(error, OSError) else error}")
        errors = args.errors or args.ids.with_name(f"{args.ids.stem}.left.jsonl")
        if errors.resolve() == args.ids.resolve():
            parser.error("--errors must be another file than --ids")
        passes = tuple(name for name in passes if name in ids)
    if since and since >= until:
        parser.error("--since must be before --until")
    wanted = Wanted(args.flows, not args.skip_guests)
    selection = Selection(passes, since, until, now, args.window, not args.oldest_first, ids, wanted)
    resume_key: dict[str, object] = {"since": args.since, "until": args.until, "window": args.window}
    resume_key |= {"oldest_first": args.oldest_first, "flows": args.flows, "skip_guests": args.skip_guests}
    resume_key |= {"ids": ids_digest(ids) if ids is not None else None}
    if args.with_consent:
        resume_key["with_consent"] = True
    options = Options(
        selection, resume_key, args.state, errors, args.share, args.page, args.restart, args.keep_rules, args.dry_run,
        args.json, args.yes, args.with_consent,
    )  # fmt: skip
    if options.needs_confirmation and not sys.stdin.isatty():
        parser.error("--flows may mail people about old orders: where nobody can be asked, --yes must say so")
    return options


def default_state_path() -> Path:
    """The state file, where no option names one."""
    return Path(os.environ.get("BACKFILL_STATE") or "backfill-state.json")


def with_times(selection: Selection, times: Mapping[str, str]) -> Selection:
    """The selection with the times that it had when the run began: now, and spans before now, have moved since."""
    since = times["since"]
    return replace(
        selection,
        since=datetime.fromisoformat(since) if since else None,
        until=datetime.fromisoformat(times["until"]),
        started=datetime.fromisoformat(times["started"]),
    )


def selection_times(selection: Selection) -> dict[str, str]:
    """What `resumed` takes."""
    return {
        "since": format_time(selection.since) if selection.since else "",
        "until": format_time(selection.until),
        "started": format_time(selection.started),
    }


def _parser(rules: BackfillRules, program: str, parents: Sequence[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = parser_of(
        program,
        "Load a shop's past into Klaviyo: catalog, customers, orders and refunds. Events are sent with"
        " `backfill` and start no flow, unless --flows says so. Kill it at any moment: the same command goes on.",
        _EXAMPLE,
        parents,
    )
    add = parser.add_argument
    add("--only", action="append", choices=PASSES, metavar="PASS", help=f"{', '.join(PASSES)}; may be repeated")
    add("--since", metavar="TIME", help="orders and refunds from then on, and what else changed since: a date, a time,"
        " or a span such as 30d")  # fmt: skip
    add("--until", metavar="TIME", help="orders and refunds before it (now)")
    add("--ids", type=Path, metavar="FILE", help="these alone: an id a line, or an errors file")
    add("--state", type=Path, metavar="FILE", help="where the run notes how far it is (BACKFILL_STATE, else"
        " backfill-state.json)", default=default_state_path())  # fmt: skip
    add("--errors", type=Path, metavar="FILE", help="what can't be done (backfill-errors.jsonl, beside the state)")
    add("--share", type=share_of, default=rules.share, metavar="0.5", help="part of Klaviyo's limits to use when"
        f" others call too ({rules.share})")  # fmt: skip
    add("--oldest-first", action="store_true", help="begin with the oldest orders, not with the newest")
    add("--window", type=_positive_int, default=rules.order_window, metavar="DAYS", help="days of orders that are read as one"
        f" window ({rules.order_window})")  # fmt: skip
    add("--skip-guests", action="store_true", help="leave out orders without a customer, and their refunds")
    add("--with-consent", action="store_true", help="subscribe customers whose field says yes, at its own time and"
        " without a confirmation mail; needs [consent] consented_at")  # fmt: skip
    add("--flows", action="store_true", help="have Klaviyo start flows for old orders: asks first, as it may mail"
        " people")  # fmt: skip
    add("--yes", action="store_true", help="do not ask")
    add("--page", type=_page_size, metavar="N", help="documents a page, at most 500")
    add("--restart", action="store_true", help="forget the state file, and begin anew")
    add("--keep-rules", action="store_true", help="go on although sync.toml changed")
    add("--dry-run", action="store_true", help="count, and send nothing: events, money, hours")
    add("--json", action="store_true", help="print one JSON object at the end")
    return parser


def _positive_int(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _page_size(text: str) -> int:
    number = _positive_int(text)
    if number > 500:  # noqa: PLR2004 - commercetools' own limit
        raise ValueError
    return number
