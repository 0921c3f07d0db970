"""What a run covers: which passes, of which time, or which ids alone."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from handlers.past_orders import EVERYTHING, Wanted

PASSES = ("categories", "products", "customers", "orders", "refunds")
"""In the order in which they run: an item needs its categories, an event finds its profile."""

MESSAGES = "messages"
"""In the errors file: what failed of resources that no pass is about. `--ids` leaves it out."""

_SPAN = re.compile(r"(\d+)([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")

Window = tuple[datetime, datetime]
"""From the first moment on, before the second."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for. `ids` are those to do alone, by pass; None: all that the times let through.

    `started` is when the run began: what has changed since then has messages of its own. `wanted` says what is wanted
    of orders and refunds.
    """

    passes: tuple[str, ...]
    since: datetime | None
    until: datetime
    started: datetime
    window_days: int
    newest_first: bool
    ids: Mapping[str, Mapping[str, datetime | None]] | None = None
    wanted: Wanted = EVERYTHING

    def windows(self, first: datetime) -> list[Window]:
        """The windows from `since` to `until`, in the order in which they are read; there is nothing before `first`."""
        begin = max(self.since, first) if self.since else first
        length = timedelta(days=self.window_days)
        found: list[Window] = []
        end = self.until
        while end > begin:
            found.append((max(begin, end - length), end))
            end -= length
        return found if self.newest_first else found[::-1]


def parse_time(text: str, now: datetime) -> datetime:
    """UTC time of a date, a time, or a span before `now` (`30m`, `26h`, `30d`). Raises ValueError."""
    if span := _SPAN.fullmatch(text):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def format_time(time: datetime) -> str:
    """A time as commercetools writes it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_ids(file: Path, passes: Sequence[str]) -> dict[str, dict[str, datetime | None]]:
    """The ids in a file, by pass: an id a line, for the one pass that is named, or the lines of an errors file.

    Those say since when a failed attempt may have sent something. Raises ValueError, which says what is wrong and in
    which line.
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
    """What tells one list of ids from another."""
    listed = {name: list(of_pass) for name, of_pass in ids.items()}
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()[:16]


def _parse_line(line: str, passes: Sequence[str], number: int) -> tuple[str, str, datetime | None]:
    entry: Any = {}
    if line.startswith("{"):
        try:
            entry = json.loads(line)
            name, own_id = entry["pass"], entry["resource"].partition("/")[2]
            since = datetime.fromisoformat(entry["since"]) if "since" in entry else None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ValueError(f"line {number} is not a line of an errors file") from None
    elif len(passes) == 1:
        name, own_id, since = passes[0], line, None
    else:
        raise ValueError(f"line {number} is an id, so --only must name the one pass that it is for")
    if name not in (*PASSES, MESSAGES) or not _ID.fullmatch(own_id):
        raise ValueError(f"line {number} names no resource")
    return name, own_id, since
