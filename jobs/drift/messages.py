"""Replays messages from commercetools' Messages API: the most precise recovery from an outage."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from clients.predicates import literal
from core.notification import Notification, Resource
from core.rules import SyncRules
from handlers.registry import is_consumed
from jobs.drift.workers import WorkerPool
from jobs.errors_file import ErrorsFile
from jobs.selection import MESSAGES, PASS_BY_TYPE, format_time
from jobs.units import Attempt
from pipeline import sync

_PAGE = 500


def replay_messages(pool: WorkerPool, since: datetime, errors: ErrorsFile, *, fix: bool) -> dict[str, Any]:
    """Pass every message since `since` to its live handler. Without `fix` messages are only counted.

    Messages are read in the order of their ids, not of time. That is safe: events have ids of their own, and handlers
    read the current state. Changes of categories, customers and stock come as change notifications, which are not
    stored; a comparison finds those.
    """
    where = f"createdAt > {literal(format_time(since))} and createdAt <= {literal(format_time(datetime.now(UTC)))}"
    read, done = Counter[str](), Counter[str]()
    pages = pool.reader.pages("messages", [where], _PAGE)
    rules = pool.services.settings.sync
    pool.begin("messages", pool.call(partial(pool.reader.count, "messages", [where])))
    while (messages := pool.call(partial(next, pages, None))) is not None:
        ours = [one for one in messages if one.get("resource") and _is_ours(one, rules)]
        read.update(f"{one['resource']['typeId']}/{one['type']}" for one in ours)
        done["others"] += len(messages) - len(ours)
        if fix:
            _replay(ours, pool, errors, done)
    return {"read": dict(read.most_common()), "synced": 0, "ignored": 0, "failed": 0, **done}


def _replay(messages: list[Mapping[str, Any]], pool: WorkerPool, errors: ErrorsFile, done: Counter[str]) -> None:
    by_id = {one["id"]: one for one in messages}
    units = {own_id: partial(_sync, pool, one) for own_id, one in by_id.items()}
    for own_id, unit in pool.run_units(units).items():
        done["failed" if unit.failed else "ignored" if unit.skipped else "synced"] += 1
        if unit.failed:
            resource = by_id[own_id]["resource"]
            name = PASS_BY_TYPE.get(resource["typeId"], MESSAGES)
            errors.add(f"{resource['typeId']}/{resource['id']}", name, unit.failed, by_id[own_id]["createdAt"])


def _is_ours(message: Mapping[str, Any], rules: SyncRules) -> bool:
    return is_consumed(message["resource"]["typeId"], message["type"], rules)


def _sync(pool: WorkerPool, message: Mapping[str, Any], attempt: Attempt) -> None:
    resource = message["resource"]
    notification = Notification(
        Resource(resource["typeId"], resource["id"]),
        message["type"],
        pool.services.settings.ct_project_id,
        message,
        attempt.number + 1,  # counts as redelivered: the first delivery may have written something
    )
    sync(notification, pool.services)
