"""The page's server: the page, its parts for the script that keeps it current, and what is loaded on demand."""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, make_response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from commands.page import curl, outcome_text
from commands.page.actions import add_actions
from commands.page.app_state import Stage
from commands.page.delivery import Delivery
from commands.page.faults import BY_NAME, FAULTS
from commands.page.jobs import JOBS
from commands.page.klaviyo_state import Holdings, held_by
from commands.page.sample_list import groups
from commands.page.story import ACTS
from commands.page.subscription import ATTEMPTS
from commands.page.timeline import steps
from commands.page.views import call_view, sides

PARTS = ("story", "state", "messages", "letters", "message", "account", "klaviyo")
LARGEST_BODY = 1 << 20
_HOSTS = ("127.0.0.1", "localhost")
_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
"""Nothing is loaded from anywhere else, whatever a document says."""
_SECONDS_BETWEEN_SIGNS_OF_LIFE = 15
_CATALOG = frozenset({"product", "category", "inventory-entry", "standalone-price"})


def page(stage: Stage) -> Flask:
    """The application that shows a stage and steers it."""
    app = Flask(__name__)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["reason"] = outcome_text.reason
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    token = secrets.token_urlsafe(24)
    app.before_request(partial(_refuse_strangers, token))
    app.after_request(_with_policy)
    grouped = groups(stage.samples)

    def context() -> dict[str, Any]:
        """What the templates need; nothing is computed for those that are not shown."""
        seen = _seen(stage)
        return {
            "stage": stage,
            "subscription": stage.subscription,
            "seen": seen,
            "chosen": seen.chosen,
            "acts": ACTS,
            "attempts": ATTEMPTS,
            "faults": FAULTS,
            "fault": BY_NAME.get(stage.fault) if stage.fault and stage.is_failing else None,
            "jobs": JOBS,
            "told": outcome_text.told,
            "steps": steps,
            "holdings": lambda: _holdings(stage, seen.chosen),
        }

    @app.get("/")
    def whole() -> AnyResponse:
        response = make_response(render_template("page.html", token=token, groups=grouped, **context()))
        response.cache_control.no_store = True
        return response

    @app.get("/parts/<name>")
    def part(name: str) -> AnyResponse:
        if name not in PARTS:
            abort(404)
        told = context()
        tag = _version(stage, told["seen"])
        if request.if_none_match.contains(tag):
            return Response(status=304)
        response = make_response(render_template(f"{name}.html", **told))
        response.set_etag(tag)
        response.cache_control.no_cache = True
        return response

    @app.get("/changes")
    def changes() -> Response:
        return Response(_changes(stage), mimetype="text/event-stream", headers={"Cache-Control": "no-store"})

    _add_on_demand(app, stage)
    add_actions(app, stage)
    return app


def _add_on_demand(app: Flask, stage: Stage) -> None:
    """JSON and texts that are loaded when somebody wants to see them."""

    def found(number: int) -> Delivery:
        return stage.subscription.delivery(number) or abort(404)

    @app.get("/call/<int:number>/<int:attempt>/<int:call>")
    def call(number: int, attempt: int, call: int) -> str:
        view = call_view(found(number), attempt, call) or abort(404)
        return render_template("call.html", view=view, id=f"call-{number}-{attempt}-{call}")

    @app.get("/sides/<int:number>")
    def both(number: int) -> str:
        delivery = found(number)
        return render_template("sides.html", delivery=delivery, sides=sides(delivery))

    @app.get("/curl/<int:number>")
    def curl_push(number: int) -> Response:
        return _text(curl.pushed(found(number), stage.subscription.url))

    @app.get("/curl/<int:number>/<int:attempt>/<int:call>")
    def curl_call(number: int, attempt: int, call: int) -> Response:
        view = call_view(found(number), attempt, call) or abort(404)
        return _text(curl.called(view.call, stage.sandbox))

    @app.get("/text/delivery/<int:number>")
    def text_of_delivery(number: int) -> Response:
        return _text(_pretty(found(number).message.data))

    @app.get("/text/sample/<number>")
    def text_of_sample(number: str) -> Response:
        sample = stage.samples.get(number) or abort(404)
        return _text(_pretty(sample.data))

    @app.get("/text/settings")
    def text_of_settings() -> Response:
        return _text(stage.settings)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the address says is looked at: a delivery, an area of Klaviyo, a person."""

    chosen: Delivery | None
    area: str
    who: str


def _seen(stage: Stage) -> Seen:
    """As the address says; else the message that was sent last, and what of Klaviyo it is about."""
    number = request.args.get("delivery", type=int)
    named = stage.subscription.delivery(number) or stage.subscription.delivery(stage.shown)
    chosen = named or next(iter(stage.subscription.deliveries), None)
    area = request.args.get("area", "")
    if area not in ("people", "catalog"):
        kind = chosen.resource.split("/")[0] if chosen else ""
        area = "catalog" if kind in _CATALOG else "people"
    return Seen(chosen, area, request.args.get("who") or _changed_by_job(stage))


def _changed_by_job(stage: Stage) -> str:
    """The profile that a job changed, rather than one that it made."""
    changes = (stage.note.changes if stage.note else None) or {}
    return next((own_id for kind, own_id, field in changes if kind == "profile" and field), "")


def _holdings(stage: Stage, chosen: Delivery | None) -> Holdings:
    requests = [entry for attempt in (chosen.attempts if chosen else ()) for entry in attempt.requests]
    state = stage.sandbox.klaviyo.state()
    if stage.note and stage.note.changes is not None and "delivery" not in request.args:
        return held_by(state, (), stage.note.changes)
    return held_by(state, requests, chosen.changes, chosen.resource) if chosen else held_by(state, (), {})


def _version(stage: Stage, seen: Seen) -> str:
    number = seen.chosen.number if seen.chosen else 0
    return f"{stage.subscription.era}-{stage.subscription.version}-{number}-{seen.area}-{seen.who}"


def _changes(stage: Stage) -> Iterator[str]:
    """Server-sent events: a version whenever there is another one, and signs of life."""
    version = 0
    while not stage.subscription.ended:
        version = stage.subscription.wait_for_change(version, _SECONDS_BETWEEN_SIGNS_OF_LIFE)
        yield f"data: {version}\n\n"


def _text(text: str) -> Response:
    return Response(text, mimetype="text/plain")


def _pretty(data: bytes) -> str:
    """JSON with line breaks; any other text as it is."""
    try:
        return json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    except ValueError:
        return data.decode("utf-8", "replace")


def _refuse_strangers(token: str) -> None:
    """Other sites may know the address too: only this page, as it was served since this start, may change anything.

    That what it sends is JSON is what the actions ask for: no form of another site can say so.
    """
    host = urlsplit(f"//{request.host}").hostname
    origin = request.headers.get("Origin")
    if host not in _HOSTS or (origin and origin != f"http://{request.host}"):
        abort(403)
    if request.method == "GET":
        return
    if not secrets.compare_digest(request.headers.get("X-Page-Token", "").encode(), token.encode()):
        abort(403)


def _with_policy(response: Response) -> Response:
    headers: Mapping[str, str] = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    response.headers.update(headers)
    return response
