"""The options of `backfill`, shared by `python -m jobs` and `manage.py`."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from core.rules import BackfillRules
from handlers.past_orders import HistoryOptions
from jobs.option_parser import parser_of, share_of
from jobs.selection import PASSES, Selection, format_time, ids_digest, parse_time, read_ids

_EXAMPLE = "Example:  %(prog)s --only orders --since 365d --dry-run"


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed options.

    `page` is documents per page; None keeps each pass's own size. `resume_key` holds the options that a run must
    share with a state file to resume it.
    """

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
        """True if someone must confirm that flows may start."""
        return self.selection.history.flows and not (self.dry_run or self.yes)


def parse_options(
    arguments: Sequence[str], rules: BackfillRules, program: str, *, parents: Sequence[argparse.ArgumentParser] = ()
) -> Options:
    """Parse the options. Wrong ones print the problem on stderr and end the process with 2.

    `parents` are parsers whose options `--help` lists as well; the caller has already parsed those.
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
            parser.error("--ids selects by id only: leave out --since and --until")
        try:
            ids = read_ids(args.ids, passes)
        except (OSError, ValueError) as error:
            parser.error(f"--ids {args.ids}: {error.strerror if isinstance(error, OSError) else error}")
        errors = args.errors or args.ids.with_name(f"{args.ids.stem}.left.jsonl")
        if errors.resolve() == args.ids.resolve():
            parser.error("--errors must be a different file from --ids")
        passes = tuple(name for name in passes if name in ids)
    if since and since >= until:
        parser.error("--since must be before --until")
    history = HistoryOptions(args.flows, not args.skip_guests)
    selection = Selection(passes, since, until, now, args.window, not args.oldest_first, ids, history)
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
        parser.error("--flows may mail people about old orders: without a terminal to ask on, it needs --yes")
    return options


def default_state_path() -> Path:
    """The state file used without `--state`."""
    return Path(os.environ.get("BACKFILL_STATE") or "backfill-state.json")


def with_times(selection: Selection, times: Mapping[str, str]) -> Selection:
    """The selection with the times at which the run first started: a resumed run's own "now" is later."""
    since = times["since"]
    return replace(
        selection,
        since=datetime.fromisoformat(since) if since else None,
        until=datetime.fromisoformat(times["until"]),
        started=datetime.fromisoformat(times["started"]),
    )


def selection_times(selection: Selection) -> dict[str, str]:
    """The selection's times, as `with_times` reads them."""
    return {
        "since": format_time(selection.since) if selection.since else "",
        "until": format_time(selection.until),
        "started": format_time(selection.started),
    }


def _parser(rules: BackfillRules, program: str, parents: Sequence[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = parser_of(
        program,
        "Load a shop's history into Klaviyo: catalog, customers, orders and refunds. Events are marked as"
        " `backfill` and start no flows, unless --flows is given. Kill it at any time: the same command resumes it.",
        _EXAMPLE,
        parents,
    )
    add = parser.add_argument
    add("--only", action="append", choices=PASSES, metavar="PASS", help=f"{', '.join(PASSES)}; may be repeated")
    add("--since", metavar="TIME", help="orders and refunds since TIME, and everything else that has changed since: a"
        " date, a time, or a span such as 30d")  # fmt: skip
    add("--until", metavar="TIME", help="orders and refunds before TIME (default: now)")
    add("--ids", type=Path, metavar="FILE", help="only the ids in FILE: one per line, or an errors file")
    add("--state", type=Path, metavar="FILE", help="where progress is saved (default: BACKFILL_STATE, else"
        " backfill-state.json)", default=default_state_path())  # fmt: skip
    add("--errors", type=Path, metavar="FILE", help="where failures are saved (default: backfill-errors.jsonl, next to"
        " the state file; with --ids x.jsonl: x.left.jsonl)")  # fmt: skip
    add("--share", type=share_of, default=rules.share, metavar="0.5", help="share of Klaviyo's rate limits to use while"
        f" other callers need them too (default: {rules.share})")  # fmt: skip
    add("--oldest-first", action="store_true", help="start with the oldest orders instead of the newest")
    add("--window", type=_positive_int, default=rules.order_window, metavar="DAYS", help="days of orders to read per"
        f" window (default: {rules.order_window})")  # fmt: skip
    add("--skip-guests", action="store_true", help="skip orders without a customer, and their refunds")
    add("--with-consent", action="store_true", help="subscribe customers whose consent field says yes, as of the time"
        " they gave it, without a confirmation mail; needs [consent] consented_at")  # fmt: skip
    add("--flows", action="store_true", help="let Klaviyo start flows for old orders; asks first, as that may mail"
        " people")  # fmt: skip
    add("--yes", action="store_true", help="do not ask")
    add("--page", type=_page_size, metavar="N", help="documents per page, at most 500")
    add("--restart", action="store_true", help="ignore the state file and start over")
    add("--keep-rules", action="store_true", help="resume even though sync.toml has changed")
    add("--dry-run", action="store_true", help="send nothing; count events, money and hours")
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
