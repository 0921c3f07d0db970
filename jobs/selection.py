"""What a run covers: which passes, and which time span or ids."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.times import required_time
from handlers.past_orders import ALL_HISTORY, HistoryOptions

PASSES = ("categories", "products", "customers", "orders", "refunds")
"""In the order in which they run: items need their categories, events need their profiles."""

PASS_BY_TYPE = {
    "category": "categories",
    "product": "products",
    "customer": "customers",
    "order": "orders",
    "payment": "refunds",
}
"""The pass that loads a resource, by the resource's type. `--ids` reads it from the errors file."""

MESSAGES = "messages"
"""The pass name in the errors file for resources that no pass covers. `--ids` skips those lines."""

_SPAN = re.compile(r"(\d+)([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")

Window = tuple[datetime, datetime]
"""From the first time (inclusive) to the second (exclusive)."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to load. `ids` restricts the run to ids, by pass; None selects by `since` and `until`.

    Each id has the time since which a failed attempt may have sent something, or None. `started` is when the run began:
    later changes have messages of their own. `history` holds the options for orders and refunds.
    """

    passes: tuple[str, ...]
    since: datetime | None
    until: datetime
    started: datetime
    window_days: int
    newest_first: bool
    ids: Mapping[str, Mapping[str, datetime | None]] | None = None
    history: HistoryOptions = ALL_HISTORY

    def windows(self, first: datetime) -> list[Window]:
        """The windows from `since` to `until` in reading order, skipping the time before `first`."""
        begin = max(self.since, first) if self.since else first
        length = timedelta(days=self.window_days)
        found: list[Window] = []
        end = self.until
        while end > begin:
            found.append((max(begin, end - length), end))
            end -= length
        return found if self.newest_first else found[::-1]


def parse_time(text: str, now: datetime) -> datetime:
    """Parse a date, a time, or a span before `now` (`30m`, `26h`, `30d`) to a UTC time. Raises ValueError."""
    if span := _SPAN.fullmatch(text):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    return required_time(text)


def format_time(time: datetime) -> str:
    """A time in commercetools' format."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_ids(file: Path, passes: Sequence[str]) -> dict[str, dict[str, datetime | None]]:
    """Read the ids in a file, by pass. Each line is an id of the only pass in `passes`, or a line of an errors file.

    The value is the `since` of an errors line: the time since which a failed attempt may have sent something. Raises
    ValueError that names the line and the problem.
    """
    found: dict[str, dict[str, datetime | None]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        name, own_id, since = _parse_line(line.strip(), passes, number)
        if name in passes:
            found.setdefault(name, {}).setdefault(own_id, since)
    return {name: dict(sorted(ids.items())) for name, ids in found.items()}


def ids_digest(ids: Mapping[str, Iterable[str]]) -> str:
    """A hash of the ids."""
    listed = {name: list(of_pass) for name, of_pass in ids.items()}
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()[:16]


def _parse_line(line: str, passes: Sequence[str], number: int) -> tuple[str, str, datetime | None]:
    entry: Any = {}
    if line.startswith("{"):
        try:
            entry = json.loads(line)
            name, own_id = entry["pass"], entry["resource"].partition("/")[2]
            since = required_time(entry["since"]) if "since" in entry else None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ValueError(f"line {number} is not a line of an errors file") from None
    elif len(passes) == 1:
        name, own_id, since = passes[0], line, None
    else:
        raise ValueError(f"line {number} is an id, so --only must name the one pass it belongs to")
    if name not in (*PASSES, MESSAGES) or not _ID.fullmatch(own_id):
        raise ValueError(f"line {number} names no resource")
    return name, own_id, since
