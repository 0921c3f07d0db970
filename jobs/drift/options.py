"""The options of `reconcile`, shared by `python -m jobs` and `manage.py`."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.rules import ReconcileRules
from jobs.drift.findings import KINDS
from jobs.option_parser import parser_of, share_of
from jobs.selection import parse_time

_EXAMPLE = "Example:  %(prog)s --only items --only variants --fix"
_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed options.

    `resume_key` holds the options that a run must share with a stopped one to resume it. `max_delete` is a share of
    Klaviyo's records of a kind.
    """

    kinds: tuple[str, ...]
    since: datetime | None
    fix: bool
    delete_extra: bool
    max_delete: float
    from_messages: bool
    state: Path
    errors: Path
    share: float
    as_json: bool
    resume_key: dict[str, object]

    @property
    def resends_all_days(self) -> bool:
        """True if days are resent even if their orders may be on other profiles by now."""
        return self.kinds == ("events",)


def parse_options(
    arguments: Sequence[str], rules: ReconcileRules, program: str, *, parents: Sequence[argparse.ArgumentParser] = ()
) -> Options:
    """Parse the options. Wrong ones print the problem on stderr and end the process with 2.

    `parents` as in `parser_of`.
    """
    parser = _parser(rules, program, parents)
    args = parser.parse_args(arguments)
    since = None
    if args.since:
        try:
            since = parse_time(args.since, datetime.now(UTC))
        except (ValueError, OverflowError):
            parser.error(f"--since must be a date, a time, or a span such as 26h or 7d, not {args.since!r}")
    if args.delete_extra and not args.fix:
        parser.error("--delete-extra needs --fix")
    if args.delete_extra and since:
        parser.error("--delete-extra needs a full comparison to find extra records: leave out --since")
    if args.from_messages and not since:
        parser.error("--from-messages needs --since: the time since which messages may be missing")
    if args.from_messages and args.only:
        parser.error("--from-messages replays messages of all kinds: leave out --only")
    resume_key = {name: getattr(args, name) for name in ("only", "since", "fix", "delete_extra", "max_delete")}
    kinds = tuple(kind for kind in KINDS if not args.only or kind in args.only)
    errors = args.errors or args.state.with_name(f"{args.state.stem.removesuffix('-state')}-errors.jsonl")
    return Options(
        kinds, since, args.fix, args.delete_extra, args.max_delete, args.from_messages, args.state, errors,
        args.share, args.json, resume_key,
    )  # fmt: skip


def default_state_path() -> Path:
    """The state file used without `--state`."""
    return Path(os.environ.get("RECONCILE_STATE") or "reconcile-state.json")


def _parser(rules: ReconcileRules, program: str, parents: Sequence[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = parser_of(
        program,
        "Compare Klaviyo with the shop: catalog, profiles, and the number of orders placed per day. It only reports,"
        " unless --fix has the live handlers fix what differs.",
        f"Exit codes: 0 nothing differs, or everything was fixed; 3 something differs; 1 something could not be"
        f" compared or fixed; 4 too much would be deleted; docs/drift.md lists the others. {_EXAMPLE}",
        parents,
    )
    add = parser.add_argument
    add("--only", action="append", choices=KINDS, metavar="KIND", help=f"{', '.join(KINDS)}; may be repeated")
    add("--since", metavar="TIME", help="only products and customers changed since TIME, all categories, and orders"
        " placed since TIME (default: 7d): a date, a time, or a span such as 26h. Extra items, and extra variants of"
        " unchanged products, are not found")  # fmt: skip
    add("--fix", action="store_true", help="fix what differs")
    add("--delete-extra", action="store_true", help="with --fix: also delete what the shop does not have")
    add("--max-delete", type=_share_of_kind, default=rules.max_delete, metavar="5%", help="delete nothing if more than"
        " this share of the categories, items or variants in Klaviyo is extra"
        f" (default: {rules.max_delete:.0%})".replace("%", "%%"))  # fmt: skip
    add("--from-messages", action="store_true", help="instead of comparing, pass the messages since --since to their"
        " handlers again, if the project keeps messages; without --fix they are only counted")  # fmt: skip
    add("--state", type=Path, metavar="FILE", default=default_state_path(), help="what the next run needs to know"
        " (default: RECONCILE_STATE, else reconcile-state.json)")  # fmt: skip
    add("--errors", type=Path, metavar="FILE", help="where failures are saved (default: reconcile-errors.jsonl, next to"
        " the state file)")  # fmt: skip
    add("--share", type=share_of, default=rules.share, metavar="0.5", help="share of Klaviyo's rate limits to use while"
        f" other callers need them too (default: {rules.share})")  # fmt: skip
    add("--json", action="store_true", help="print one JSON object at the end")
    return parser


def _share_of_kind(text: str) -> float:
    """Parse `5%` or `0.05`. Raises ValueError outside of 0 to 1."""
    part = float(text.removesuffix("%")) / (_PERCENT if text.endswith("%") else 1)
    if not 0 <= part <= 1:
        raise ValueError
    return part
