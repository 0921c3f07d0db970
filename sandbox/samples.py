"""The samples: messages to send, and the state of Klaviyo expected afterwards."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from core.setting_errors import did_you_mean
from sandbox.control import Control

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
DOCUMENTS = SAMPLES / "documents"

_KINDS = ("profile", "event", "category", "item", "variant")

ENVIRONMENT = {
    "PREFERRED_LOCALE": "en-US",
    "PREFERRED_CURRENCY": "EUR",
    "PRODUCT_URL_TEMPLATE": "https://shop.example/p/{{productSlug}}",
}
"""The settings that the samples' expectations assume."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One entry of samples.toml. The header of that file documents the fields."""

    file: str
    shows: str
    outcome: str
    reads: int
    writes: int
    before: Sequence[Mapping[str, str]] = ()
    expect: Sequence[Mapping[str, Any]] = ()
    calls: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file name without its number and extension."""
        return self.file.removesuffix(".json").split("-", 1)[1]

    @property
    def data(self) -> bytes:
        """What commercetools publishes: the data of the Pub/Sub message."""
        return (SAMPLES / self.file).read_bytes()

    def prepare(self, commercetools: Control) -> None:
        """Put commercetools into the state in which this message was published."""
        for change in self.before:
            if "put" in change:
                collection = change["put"].split("/", 1)[0]
                commercetools.put(collection, json.loads((SAMPLES / change["from"]).read_text(encoding="utf-8")))
            else:
                commercetools.delete(*change["delete"].split("/", 1))

    def problems(self, state: Mapping[str, Any]) -> list[str]:
        """How Klaviyo's state differs from what this sample expects; empty if it matches."""
        return [problem for expected in self.expect for problem in _problems(expected, state)]


class SampleError(click.ClickException):
    """A mistake in samples.toml."""


def samples(folder: Path = SAMPLES) -> list[Sample]:
    """All samples in the order to send them. Raises SampleError."""
    try:
        rows = tomllib.loads((folder / "samples.toml").read_text(encoding="utf-8")).get("sample", [])
    except tomllib.TOMLDecodeError as error:
        raise SampleError(f"samples.toml is not TOML: {error}") from None
    for number, row in enumerate(rows, start=1):
        for mistake in _mistakes(row, folder):
            raise SampleError(f"samples.toml, sample {number} ({row.get('file', 'without file')}): {mistake}")
    return [Sample(**row) for row in rows]


def _mistakes(row: Mapping[str, Any], folder: Path) -> Iterator[str]:
    definitions = {definition.name: definition for definition in fields(Sample)}
    yield from (f"{name} is not known{did_you_mean(name, definitions)}" for name in row if name not in definitions)
    for name, definition in definitions.items():
        if name not in row and definition.default is MISSING and definition.default_factory is MISSING:
            yield f"{name} is missing"
    if row["outcome"] not in ("synced", "ignored"):
        yield 'outcome must be "synced" or "ignored"'
    yield from (f"{name} must be a whole number" for name in ("reads", "writes") if not isinstance(row[name], int))
    for change in row.get("before", ()):
        if not change.keys() & {"put", "delete"} or ("put" in change and "from" not in change):
            yield 'before holds { put = "collection/id", from = "file" } or { delete = "collection/id" }'
    files = [row["file"], *(change["from"] for change in row.get("before", ()) if "from" in change)]
    yield from (f"there is no samples/{name}" for name in files if not (folder / name).is_file())
    for expected in row.get("expect", ()):
        kind = str(expected.get("kind", "")).removeprefix("no ")
        if kind not in _KINDS:
            hint = did_you_mean(kind, _KINDS)
            yield f"expect has the kind {kind!r}{hint}: one of {', '.join(_KINDS)}, or with no in front"


def _problems(expected: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[str]:
    kind = expected["kind"]
    found = list(_candidates(kind.removeprefix("no "), expected, state))
    label = expected.get("external_id") or f"{expected.get('metric')} {expected.get('unique_id')}"
    if kind.startswith("no "):
        if found:
            yield f"{kind[3:]} {label} is still there"
        return
    wanted = {name: value for name, value in expected.items() if name not in ("kind", "external_id", "attributes")}
    wanted |= expected.get("attributes", {})
    if not found:
        yield f"{kind} {label} is missing"
    elif not any(_contains(wanted, candidate) for candidate in found):
        yield f"{kind} {label} is not {wanted}, but {found[0]}"


def _candidates(kind: str, expected: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    own_id = expected.get("external_id")
    match kind:
        case "profile":
            yield from (profile for profile in state["profiles"] if profile.get("external_id") == own_id)
        case "event":
            for event in state["events"]:
                if event["metric"] == expected["metric"] and event["unique_id"] == expected["unique_id"]:
                    yield event
        case "category":
            if own_id in state["categories"]:
                yield {"name": state["categories"][own_id]}
        case "item" | "variant":
            if own_id in state[f"{kind}s"]:
                yield state[f"{kind}s"][own_id]


def _contains(wanted: Any, found: Any) -> bool:
    """True if `found` contains `wanted`: lists in any order, numbers by value, times by instant."""
    match wanted:
        case dict():
            return isinstance(found, Mapping) and all(
                name in found and _contains(value, found[name]) for name, value in wanted.items()
            )
        case list():
            return isinstance(found, list) and all(
                any(_contains(value, element) for element in found) for value in wanted
            )
        case datetime():
            return isinstance(found, str) and datetime.fromisoformat(found) == wanted
    return bool(wanted == found)
