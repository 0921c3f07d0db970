"""The page's server: whole pages for browsers without scripts, and their parts for those that keep up by themselves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from commands.page.holdings import holdings, touched_by
from commands.page.subscription import ATTEMPTS, Delivery, Subscription
from commands.page.views import view
from sandbox.samples import Sample

PARTS = ("controls", "deliveries", "delivery", "klaviyo")
_HOSTS = ("127.0.0.1", "localhost")
_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
"""Nothing is loaded from anywhere else, whatever a document says."""
_SECONDS_BETWEEN_SIGNS_OF_LIFE = 15


def page(subscription: Subscription, samples: Sequence[Sample]) -> Flask:
    """The application that shows a subscription and sends samples to it."""
    app = Flask(__name__)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    by_number = {sample.file.split("-", 1)[0]: sample for sample in samples}
    app.before_request(_refuse_strangers)
    app.after_request(_with_policy)

    def context() -> dict[str, Any]:
        """What each of the templates needs; nothing is computed for those that are not shown."""
        deliveries = subscription.deliveries
        chosen = _chosen(deliveries)
        return {
            "subscription": subscription,
            "deliveries": deliveries,
            "chosen": chosen,
            "samples": by_number,
            "attempts": ATTEMPTS,
            "view": view,
            "holdings": lambda: _holdings(subscription, chosen),
        }

    @app.get("/")
    def whole() -> str:
        return render_template("page.html", **context())

    @app.get("/parts/<name>")
    def part(name: str) -> AnyResponse:
        if name not in PARTS:
            abort(404)
        told = context()
        tag = _version(name, subscription, told["chosen"])
        if request.if_none_match.contains(tag):
            return Response(status=304)
        response = make_response(render_template(f"{name}.html", **told))
        response.set_etag(tag)
        response.cache_control.no_cache = True
        return response

    @app.get("/changes")
    def changes() -> Response:
        return Response(_changes(subscription), mimetype="text/event-stream", headers={"Cache-Control": "no-store"})

    _add_buttons(app, subscription, by_number)
    return app


def _add_buttons(app: Flask, subscription: Subscription, samples: Mapping[str, Sample]) -> None:
    """What the page's buttons do; samples go by their number."""

    def send(number: str, times: int) -> AnyResponse:
        if number not in samples:
            abort(404)
        subscription.send(samples[number], times)
        return _done()

    app.add_url_rule("/send/<number>", "once", lambda number: send(number, 1), methods=["POST"])
    app.add_url_rule("/send-twice/<number>", "twice", lambda number: send(number, 2), methods=["POST"])

    @app.post("/send-all")
    def send_all() -> AnyResponse:
        for sample in samples.values():
            subscription.send(sample)
        return _done()

    @app.post("/fail-next")
    def fail_next() -> AnyResponse:
        subscription.toggle_failure()
        return _done()

    @app.post("/start-over")
    def start_over() -> AnyResponse:
        subscription.start_over()
        return _done()


def _done() -> AnyResponse:
    """Show the page; the script that asks for the parts needs none."""
    return Response(status=204) if "X-Part" in request.headers else redirect("/", 303)


def _chosen(deliveries: Sequence[Delivery]) -> Delivery | None:
    """The delivery that the address names, else the latest."""
    number = request.args.get("delivery", type=int)
    named = (delivery for delivery in deliveries if delivery.number == number)
    return next(named, deliveries[0] if deliveries else None)


def _version(name: str, subscription: Subscription, chosen: Delivery | None) -> str:
    """Changes whenever the part does."""
    number, attempts = (chosen.number, len(chosen.attempts)) if chosen else (0, 0)
    seen = attempts if name == "delivery" else subscription.version
    return f"{name}-{subscription.era}-{number}-{seen}"


def _holdings(subscription: Subscription, chosen: Delivery | None) -> Any:
    requests = [entry for attempt in (chosen.attempts if chosen else ()) for entry in attempt.requests]
    return holdings(subscription.sandbox.klaviyo.state(), touched_by(requests))


def _changes(subscription: Subscription) -> Iterator[str]:
    """Server-sent events: a version whenever there is another one, and signs of life."""
    version = 0
    while not subscription.ended:
        version = subscription.wait_for_change(version, _SECONDS_BETWEEN_SIGNS_OF_LIFE)
        yield f"data: {version}\n\n"


def _refuse_strangers() -> None:
    """Other sites may know the address too: only this page and this machine are served."""
    host = urlsplit(f"//{request.host}").hostname
    origin = request.headers.get("Origin")
    if host not in _HOSTS or (origin and urlsplit(origin).netloc != request.host):
        abort(403)


def _with_policy(response: Response) -> Response:
    headers: Mapping[str, str] = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    response.headers.update(headers)
    return response
