"""Print what the sandbox's Klaviyo holds at the end of the demo."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from commands.outcome_words import counted, event_summary, money

State = Mapping[str, Any]

_MAX_ITEMS = 3
_TRACKED = 1


def show_holdings(state: State, console: Console) -> None:
    """Print the profile with the most events and its timeline, the catalog, and totals."""
    events = _by_profile(state)
    busiest = max(state["profiles"], key=lambda profile: len(events.get(profile["id"], ())), default=None)
    if busiest:
        console.print("\n[bold]What Klaviyo now knows about one customer[/]")
        console.print(f"[bold]{_name(busiest)}[/] <{busiest.get('email')}>", soft_wrap=True)
        known = [_place(busiest), busiest.get("phone_number"), *_properties(busiest)]
        console.print(", ".join(str(value) for value in known if value))
        timeline = events.get(busiest["id"], [])
        console.print(_timeline([event for event in timeline if "ItemNames" in event["properties"]]))
        console.print(f"and an Ordered Product for each line: {counted(len(timeline), 'event')} in all", style="dim")
    console.print("\n[bold]And the catalog[/]")
    console.print(_catalog(state))
    counts = [
        counted(len(state[name]), noun)
        for name, noun in (
            ("profiles", "profile"),
            ("events", "event"),
            ("categories", "category"),
            ("items", "item"),
            ("variants", "variant"),
        )
    ]
    console.print(f"In all: {', '.join(counts)}; {counted(len(state['erased']), 'profile')} erased.", style="dim")


def _by_profile(state: State) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for event in sorted(state["events"], key=lambda event: event["time"]):
        found.setdefault(event["profile_id"], []).append(event)
    return found


def _name(profile: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (profile.get(name) for name in ("title", "first_name", "last_name"))))


def _place(profile: Mapping[str, Any]) -> str:
    location = profile.get("location") or {}
    return " ".join(filter(None, (location.get(name) for name in ("zip", "city", "country"))))


def _properties(profile: Mapping[str, Any]) -> list[str]:
    properties = (profile.get("properties") or {}).items()
    return [
        f"{name} {('yes' if value else 'no') if isinstance(value, bool) else value}"
        for name, value in properties
        if not isinstance(value, list | dict)
    ]


def _timeline(events: Sequence[Mapping[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    # This column takes the rest of the line.
    table.add_column(style="dim", overflow="ellipsis", no_wrap=True, ratio=1)
    for event in events:
        table.add_row(
            f"{datetime.fromisoformat(event['time']):%d %b %H:%M}",
            event["metric"],
            money(event["value"], event["value_currency"]),
            event_summary(event["properties"]),
        )
    return table


def _catalog(state: State) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for own_id, item in list(state["items"].items())[:_MAX_ITEMS]:
        variants = [variant for variant in state["variants"].values() if variant["item"] == own_id]
        tracked = [variant["inventory_quantity"] for variant in variants if _is_tracked(variant)]
        kinds = Counter("in stock" if _is_available(variant) else "sold out" for variant in variants)
        availability = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        names = [state["categories"][category] for category in item["categories"] if category in state["categories"]]
        stock = f"{sum(tracked)} units" if tracked else "stock not tracked"
        place = max(names, key=len, default="")
        summary = f"{counted(len(variants), 'variant')} ({availability}), {stock}"
        table.add_row(item["title"], money(item.get("price")), ", ".join(filter(None, (summary, place))))
    return table


def _is_tracked(variant: Mapping[str, Any]) -> bool:
    return bool(variant["inventory_policy"] == _TRACKED)


def _is_available(variant: Mapping[str, Any]) -> bool:
    return not _is_tracked(variant) or variant["inventory_quantity"] > 0
