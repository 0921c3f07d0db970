"""The page's Flask app: the page, its parts for the script that keeps it up to date, and JSON loaded on demand."""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, make_response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from commands.page import curl
from commands.page.actions import add_actions
from commands.page.app_state import AppState
from commands.page.delivery import Delivery
from commands.page.faults import BY_NAME, FAULTS
from commands.page.jobs import JOBS
from commands.page.klaviyo_state import KlaviyoState, klaviyo_state_after
from commands.page.outcome_text import summarize
from commands.page.sample_list import sample_groups
from commands.page.subscription import MAX_DELIVERY_ATTEMPTS
from commands.page.timeline import steps
from commands.page.views import call_view, side_by_side
from commands.reason_words import reason_text

PARTS = ("story", "controls", "messages", "letters", "message", "tools", "klaviyo")
"""Elements with `data-part`, each with its template: the script fetches them again after every change."""
MAX_BODY = 1 << 20
"""Bytes."""
_HOSTS = ("127.0.0.1", "localhost")
_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
"""The browser loads nothing from other sites, whatever a message contains."""
_KEEPALIVE_SECONDS = 15
_CATALOG_RESOURCES = frozenset({"product", "category", "inventory-entry", "standalone-price"})


def create_app(app_state: AppState) -> Flask:
    """The Flask app that shows a state and controls it."""
    app = Flask(__name__)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["reason"] = reason_text
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    token = secrets.token_urlsafe(24)
    app.before_request(partial(_reject_foreign_requests, token))
    app.after_request(_with_security_headers)
    groups = sample_groups(app_state.samples)

    def context() -> dict[str, Any]:
        """The templates' variables. Klaviyo's state is a function: only the template that shows it computes it."""
        selection = _selection(app_state)
        return {
            "app_state": app_state,
            "subscription": app_state.subscription,
            "selection": selection,
            "selected": selection.delivery,
            "max_attempts": MAX_DELIVERY_ATTEMPTS,
            "faults": FAULTS,
            "active_fault": BY_NAME.get(app_state.fault) if app_state.fault and app_state.is_failing else None,
            "jobs": JOBS,
            "summarize": summarize,
            "steps": steps,
            "klaviyo_state": lambda: _klaviyo_state(app_state, selection.delivery),
        }

    @app.get("/")
    def index() -> AnyResponse:
        response = make_response(render_template("page.html", token=token, groups=groups, **context()))
        response.cache_control.no_store = True
        return response

    @app.get("/parts/<name>")
    def part(name: str) -> AnyResponse:
        if name not in PARTS:
            abort(404)
        variables = context()
        etag = _version(app_state, variables["selection"])
        if request.if_none_match.contains(etag):
            return Response(status=304)
        response = make_response(render_template(f"{name}.html", **variables))
        response.set_etag(etag)
        response.cache_control.no_cache = True
        return response

    @app.get("/changes")
    def changes() -> Response:
        return Response(_change_events(app_state), mimetype="text/event-stream", headers={"Cache-Control": "no-store"})

    _add_on_demand(app, app_state)
    add_actions(app, app_state)
    return app


def _add_on_demand(app: Flask, app_state: AppState) -> None:
    """Add the endpoints for JSON and texts that the page loads only when they are opened."""

    def delivery_or_404(number: int) -> Delivery:
        return app_state.subscription.delivery(number) or abort(404)

    @app.get("/call/<int:number>/<int:attempt>/<int:call>")
    def call(number: int, attempt: int, call: int) -> str:
        view = call_view(delivery_or_404(number), attempt, call) or abort(404)
        return render_template("call.html", view=view, id=f"call-{number}-{attempt}-{call}")

    @app.get("/sides/<int:number>")
    def sides(number: int) -> str:
        delivery = delivery_or_404(number)
        return render_template("sides.html", delivery=delivery, sides=side_by_side(delivery))

    @app.get("/curl/<int:number>")
    def curl_push(number: int) -> Response:
        return _text(curl.push_command(delivery_or_404(number), app_state.subscription.url))

    @app.get("/curl/<int:number>/<int:attempt>/<int:call>")
    def curl_call(number: int, attempt: int, call: int) -> Response:
        view = call_view(delivery_or_404(number), attempt, call) or abort(404)
        return _text(curl.call_command(view.call, app_state.sandbox))

    @app.get("/text/delivery/<int:number>")
    def text_of_delivery(number: int) -> Response:
        return _text(_pretty(delivery_or_404(number).message.data))

    @app.get("/text/sample/<number>")
    def text_of_sample(number: str) -> Response:
        sample = app_state.samples.get(number) or abort(404)
        return _text(_pretty(sample.data))

    @app.get("/text/settings")
    def text_of_settings() -> Response:
        return _text(app_state.settings)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the page shows: a delivery, an area of Klaviyo (people or catalog), and the id of a profile."""

    delivery: Delivery | None
    area: str
    profile_id: str


def _selection(app_state: AppState) -> Selection:
    """The selection in the URL; by default the last message sent, and the area of Klaviyo that it is about."""
    number = request.args.get("delivery", type=int)
    wanted = app_state.subscription.delivery(number) or app_state.subscription.delivery(app_state.shown)
    delivery = wanted or next(iter(app_state.subscription.deliveries), None)
    area = request.args.get("area", "")
    if area not in ("people", "catalog"):
        kind = delivery.resource.split("/")[0] if delivery else ""
        area = "catalog" if kind in _CATALOG_RESOURCES else "people"
    return Selection(delivery, area, request.args.get("who") or _profile_changed_by_job(app_state))


def _profile_changed_by_job(app_state: AppState) -> str:
    """The id of a profile that the last job changed, but did not create; empty if there is none."""
    changes = (app_state.banner.changes if app_state.banner else None) or {}
    return next((own_id for kind, own_id, field in changes if kind == "profile" and field), "")


def _klaviyo_state(app_state: AppState, selected: Delivery | None) -> KlaviyoState:
    """Klaviyo's state, marked with what the last job or else the selected delivery changed."""
    requests = [entry for attempt in (selected.attempts if selected else ()) for entry in attempt.requests]
    state = app_state.sandbox.klaviyo.state()
    if app_state.banner and app_state.banner.changes is not None and "delivery" not in request.args:
        return klaviyo_state_after(state, (), app_state.banner.changes)
    return (
        klaviyo_state_after(state, requests, selected.changes, selected.resource)
        if selected
        else klaviyo_state_after(state, (), {})
    )


def _version(app_state: AppState, selection: Selection) -> str:
    """The ETag of all parts of the page."""
    number = selection.delivery.number if selection.delivery else 0
    subscription = app_state.subscription
    return f"{subscription.generation}-{subscription.version}-{number}-{selection.area}-{selection.profile_id}"


def _change_events(app_state: AppState) -> Iterator[str]:
    """Server-sent events: the version after every change, and again every few seconds to keep the connection open."""
    version = 0
    while not app_state.subscription.is_stopped:
        version = app_state.subscription.wait_for_change(version, _KEEPALIVE_SECONDS)
        yield f"data: {version}\n\n"


def _text(text: str) -> Response:
    return Response(text, mimetype="text/plain")


def _pretty(data: bytes) -> str:
    """Indented JSON; any other text unchanged."""
    try:
        return json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    except ValueError:
        return data.decode("utf-8", "replace")


def _reject_foreign_requests(token: str) -> None:
    """Reject requests from other sites with 403; they may know the page's address too.

    Only this page has the token, which is new for each start. The actions also require JSON, which no HTML form of
    another site can send.
    """
    host = urlsplit(f"//{request.host}").hostname
    origin = request.headers.get("Origin")
    if host not in _HOSTS or (origin and origin != f"http://{request.host}"):
        abort(403)
    if request.method == "GET":
        return
    if not secrets.compare_digest(request.headers.get("X-Page-Token", "").encode(), token.encode()):
        abort(403)


def _with_security_headers(response: Response) -> Response:
    headers: Mapping[str, str] = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    response.headers.update(headers)
    return response
