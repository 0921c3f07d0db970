"""The actions of the page's buttons. Each takes JSON and responds with JSON, `{}` if there is nothing to report."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from flask import Flask, Response, abort, jsonify, render_template, request

from commands.page import settings
from commands.page.app_state import AppState
from commands.page.comparison import PreviewInput, compare
from commands.page.delivery import Message
from commands.page.faults import BY_NAME
from commands.page.jobs import JOBS

Body = Mapping[str, Any]
_OWN_MESSAGE = "Your own message"
_TWICE = 2
_TASK_TIMEOUT = 90
"""Seconds for a task that runs between two deliveries. The delivery in progress may take up to half a minute first."""


def add_actions(app: Flask, app_state: AppState) -> None:
    """Add an endpoint for each action, `POST /do/NAME`."""
    actions: Mapping[str, Callable[[AppState, Body], Response]] = {
        "next": _next,
        "send": _send,
        "send-own": _send_own,
        "send-all": _send_all,
        "again": _again,
        "now": _now,
        "replay": _replay,
        "fail": _fail,
        "job": _job,
        "compare": _compare,
        "settings": _settings,
        "start-over": _start_over,
    }

    @app.post("/do/<name>")
    def do(name: str) -> Response:
        action = actions.get(name) or abort(404)
        body = request.get_json()
        if not isinstance(body, dict):
            abort(400)
        return action(app_state, body)


def _next(app_state: AppState, _body: Body) -> Response:
    app_state.play_next_step()
    return _ok()


def _send(app_state: AppState, body: Body) -> Response:
    sample = app_state.samples.get(_text(body, "sample")) or abort(404)
    app_state.send(Message.from_sample(sample))
    return _ok()


def _send_own(app_state: AppState, body: Body) -> Response:
    app_state.send(Message(_OWN_MESSAGE, "A message that you wrote", _text(body, "text").encode()))
    return _ok()


def _send_all(app_state: AppState, _body: Body) -> Response:
    app_state.send_all()
    return _ok()


def _again(app_state: AppState, body: Body) -> Response:
    """Send a delivery's message again; twice with `twice`, and after switching on a failure with `fault`."""
    delivery = app_state.subscription.delivery(_number(body)) or abort(404)
    if "fault" in body:
        _fail(app_state, body)
    app_state.send(delivery.message, _TWICE if body.get("twice") is True else 1)
    return _ok()


def _now(app_state: AppState, body: Body) -> Response:
    return _ok() if app_state.subscription.deliver_now(_number(body)) else abort(404)


def _replay(app_state: AppState, body: Body) -> Response:
    return _ok() if app_state.replay(_number(body)) else abort(404)


def _fail(app_state: AppState, body: Body) -> Response:
    """Switch on a failure, or all of them off if its name is empty."""
    name = _text(body, "fault")
    if not name:
        app_state.clear_fault()
    elif name in BY_NAME:
        app_state.inject_fault(name)
    else:
        abort(404)
    return _ok()


def _job(app_state: AppState, body: Body) -> Response:
    name = _text(body, "job")
    if name not in JOBS:
        abort(404)
    return _awaited(app_state.run_job(name))


def _compare(app_state: AppState, body: Body) -> Response:
    """Compare what a sample or delivery writes with what another `text` or sync.toml (`settings`) would write."""
    data = _data_to_compare(app_state, body)
    text, toml = body.get("text"), body.get("settings")
    if isinstance(toml, str) and (problems := settings.problems(toml)):
        return jsonify({"problems": problems})
    if not data and not isinstance(text, str):
        return jsonify({"problems": ["There is nothing to compare yet. Send a message first."]})
    other = text.encode() if isinstance(text, str) else data
    before = PreviewInput(data or other, app_state.settings)
    after = PreviewInput(other, toml if isinstance(toml, str) else app_state.settings)
    comparison = app_state.subscription.submit(lambda: compare(app_state.sandbox, before, after)).result(_TASK_TIMEOUT)
    return jsonify({"html": render_template("comparison.html", comparison=comparison)})


def _data_to_compare(app_state: AppState, body: Body) -> bytes:
    """The data of the sample or of the delivery that the body names; empty if it names neither."""
    sample = app_state.samples.get(str(body.get("sample")))
    delivery = app_state.subscription.delivery(body.get("number"))
    return sample.data if sample else delivery.message.data if delivery else b""


def _settings(app_state: AppState, body: Body) -> Response:
    text = settings.DEFAULT if body.get("reset") is True else _text(body, "settings")
    if problems := settings.problems(text):
        return jsonify({"problems": problems})
    return _awaited(app_state.use_settings(text))


def _start_over(app_state: AppState, _body: Body) -> Response:
    return _awaited(app_state.start_over())


def _text(body: Body, name: str) -> str:
    text = body.get(name)
    return text if isinstance(text, str) else abort(400)


def _number(body: Body) -> int:
    number = body.get("number")
    return number if isinstance(number, int) else abort(400)


def _awaited(future: "Future[None]") -> Response:
    future.result(_TASK_TIMEOUT)
    return _ok()


def _ok() -> Response:
    return jsonify({})
