"""The options of `reconcile`, the same for `python -m jobs` and `manage.py`."""

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
    """What was asked for. `said` tells one call from others, `max_delete` is a part of what Klaviyo has of a kind."""

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
        """Whether also those days are sent again whose orders may have gone to other profiles."""
        return self.kinds == ("events",)


def parse_options(
    arguments: Sequence[str], rules: ReconcileRules, program: str, *, parents: Sequence[argparse.ArgumentParser] = ()
) -> Options:
    """The options. Wrong ones end the process with 2, and what is wrong on stderr. `described` as in `parser_of`."""
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
        parser.error("--delete-extra needs a whole comparison, which finds what is extra: leave --since out")
    if args.from_messages and not since:
        parser.error("--from-messages needs --since: from when on messages may be missing")
    if args.from_messages and args.only:
        parser.error("--from-messages does messages, whatever they are about: leave --only out")
    resume_key = {name: getattr(args, name) for name in ("only", "since", "fix", "delete_extra", "max_delete")}
    kinds = tuple(kind for kind in KINDS if not args.only or kind in args.only)
    errors = args.errors or args.state.with_name(f"{args.state.stem.removesuffix('-state')}-errors.jsonl")
    return Options(
        kinds, since, args.fix, args.delete_extra, args.max_delete, args.from_messages, args.state, errors,
        args.share, args.json, resume_key,
    )  # fmt: skip


def default_state_path() -> Path:
    """The state file, where no option names one."""
    return Path(os.environ.get("RECONCILE_STATE") or "reconcile-state.json")


def _parser(rules: ReconcileRules, program: str, parents: Sequence[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = parser_of(
        program,
        "Compare what Klaviyo has with the shop: catalog, profiles, and how many orders were placed by day. It only"
        " reports, unless --fix has the live handlers mend what differs.",
        f"Exit codes: 0 nothing differs, or all is mended; 3 something differs; 1 something could not be mended;"
        f" 4 too much would be deleted; docs/drift.md has the others. {_EXAMPLE}",
        parents,
    )
    add = parser.add_argument
    add("--only", action="append", choices=KINDS, metavar="KIND", help=f"{', '.join(KINDS)}; may be repeated")
    add("--since", metavar="TIME", help="only products and customers that have changed since, and orders placed since"
        " (7d): a date, a time, or a span such as 26h. What is extra is then not looked for")  # fmt: skip
    add("--fix", action="store_true", help="mend what differs")
    add("--delete-extra", action="store_true", help="with --fix: delete also what the shop does not have (any more)")
    add("--max-delete", type=_share_of_kind, default=rules.max_delete, metavar="5%", help="delete nothing if it would be more of"
        f" the categories, items or variants in Klaviyo ({rules.max_delete:.0%})".replace("%", "%%"))  # fmt: skip
    add("--from-messages", action="store_true", help="instead of comparing: give the messages since --since to their"
        " handlers once more, where the project keeps them; without --fix they are counted")  # fmt: skip
    add("--state", type=Path, metavar="FILE", default=default_state_path(), help="what is kept for the next run"
        " (RECONCILE_STATE, else reconcile-state.json)")  # fmt: skip
    add("--errors", type=Path, metavar="FILE", help="what can't be done (reconcile-errors.jsonl, beside the state)")
    add("--share", type=share_of, default=rules.share, metavar="0.5", help="part of Klaviyo's limits to use when others"
        f" call too ({rules.share})")  # fmt: skip
    add("--json", action="store_true", help="print one JSON object at the end")
    return parser


def _share_of_kind(text: str) -> float:
    """`5%` or `0.05`."""
    part = float(text.removesuffix("%")) / (_PERCENT if text.endswith("%") else 1)
    if not 0 <= part <= 1:
        raise ValueError
    return part
