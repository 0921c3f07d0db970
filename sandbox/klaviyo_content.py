"""Klaviyo's limits on the content of a well-formed body: sizes, depths, times, numbers of properties."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.klaviyo_errors import Problem, Refused
from sandbox.profiles import IDENTIFIERS

LARGEST_BODY = 5_000_000
LARGEST_PROFILE = 100_000
LARGEST_STRING = 100_000
LARGEST_METADATA = 100_000
MAX_PROPERTIES = 400
MAX_ENTRIES = 4000
MAX_LEVELS = 10
LONGEST_METRIC = 127
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
MAX_AHEAD = timedelta(days=366)

_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_NORTH_AMERICA = re.compile(r"\+1[2-9]\d{2}[2-9]\d{6}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 time, truncated to the second, in UTC (also without a zone). Raises ValueError."""
    time = datetime.fromisoformat(text)
    return (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)).replace(microsecond=0)


def check_event(attributes: Mapping[str, Any]) -> None:
    """Raise Refused for a well-formed event that breaks a limit, has a bad value, or lacks an identifier."""
    at = "/data/attributes"
    problems: list[Problem] = []
    properties = attributes["properties"]
    if len(properties) > MAX_PROPERTIES:
        problems.append(Problem(f"{at}/properties", f"An event has at most {MAX_PROPERTIES} properties."))
    _check_values(properties, f"{at}/properties", 1, problems)
    name = attributes["metric"]["data"]["attributes"]["name"]
    if not 0 < len(name) <= LONGEST_METRIC:
        problems.append(Problem(f"{at}/metric/data/attributes/name", "A metric's name has 1 to 127 characters."))
    if attributes.get("time") is not None:
        problems += _time_problems(attributes["time"], f"{at}/time")
    profile = attributes["profile"]["data"]
    identifiers = (profile.get("id"), *(profile["attributes"].get(name) for name in IDENTIFIERS))
    if not any(identifiers):
        problems.append(Problem(f"{at}/profile/data", "At least one profile identifier is needed."))
    problems += identifier_problems(profile["attributes"], f"{at}/profile/data/attributes")
    if problems:
        raise Refused.for_problems(problems)


def identifier_problems(attributes: Mapping[str, Any], at: str) -> list[Problem]:
    """Problems with a profile's phone number and e-mail."""
    problems = []
    phone, email = attributes.get("phone_number"), attributes.get("email")
    if phone and not is_valid_phone(phone):
        problems.append(Problem(f"{at}/phone_number", "Invalid phone number format. Not a valid number in E.164."))
    if email and not _EMAIL.fullmatch(email):
        problems.append(Problem(f"{at}/email", "Invalid email address."))
    return problems


def is_valid_phone(phone: str) -> bool:
    """True for E.164, unless no such number can exist: one digit repeated, or impossible in North America."""
    if not _PHONE.fullmatch(phone) or len(set(phone[2:])) == 1:
        return False
    return not phone.startswith("+1") or _NORTH_AMERICA.fullmatch(phone) is not None


def check_catalog(attributes: Mapping[str, Any]) -> None:
    """Raise Refused if the custom metadata is nested or too large."""
    metadata = attributes.get("custom_metadata")
    if not metadata:
        return
    at = "/data/attributes/custom_metadata"
    if any(isinstance(value, dict | list) for value in metadata.values()):
        raise Refused(400, "custom_metadata must be a flat object.", pointer=at)
    if len(json.dumps(metadata, ensure_ascii=False).encode("utf-8", "surrogatepass")) > LARGEST_METADATA:
        raise Refused(400, "custom_metadata is larger than 100 KB.", pointer=at)


def _time_problems(text: str, at: str) -> Iterator[Problem]:
    try:
        time = parse_time(text)
    except (ValueError, OverflowError):
        yield Problem(at, "Not a valid ISO 8601 datetime.")
        return
    if not EARLIEST <= time <= datetime.now(UTC) + MAX_AHEAD:
        yield Problem(at, "The time must be after 1990 and at most one year ahead.")


def _check_values(container: Any, at: str, level: int, problems: list[Problem]) -> None:
    """Append the problems inside an object or array to `problems`. `level` is its depth; the properties are at 1."""
    if level > MAX_LEVELS:
        problems.append(Problem(at, f"Properties nest at most {MAX_LEVELS} levels."))
        return
    if isinstance(container, list):
        if len(container) > MAX_ENTRIES:
            problems.append(Problem(at, f"An array has at most {MAX_ENTRIES} entries."))
            return
        entries: Iterable[tuple[Any, Any]] = enumerate(container)
    else:
        entries = container.items()
    for name, content in entries:
        if isinstance(content, str):
            # A character has at most 4 bytes, so most strings need no encoding.
            if len(content) * 4 > LARGEST_STRING and len(content.encode("utf-8", "surrogatepass")) > LARGEST_STRING:
                problems.append(Problem(f"{at}/{name}", "A string has at most 100 KB."))
        elif isinstance(content, dict | list):
            _check_values(content, f"{at}/{name}", level + 1, problems)
