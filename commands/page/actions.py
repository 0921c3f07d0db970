"""What the page's buttons do: each takes JSON and answers JSON, `{}` when there is nothing to say."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from flask import Flask, Response, abort, jsonify, render_template, request

from commands.page import settings
from commands.page.app_state import Stage
from commands.page.comparison import Side, compare
from commands.page.delivery import Message
from commands.page.faults import BY_NAME
from commands.page.jobs import JOBS

Told = Mapping[str, Any]
_OWN = "Your own message"
_TWICE = 2
_PATIENCE = 90
"""Seconds for what is done between two messages: the one under way may take half a minute."""


def add_actions(app: Flask, stage: Stage) -> None:
    """Add an address for each action, `/do/NAME`."""
    actions: Mapping[str, Callable[[Stage, Told], Response]] = {
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
        told = request.get_json()
        if not isinstance(told, dict):
            abort(400)
        return action(stage, told)


def _next(stage: Stage, _told: Told) -> Response:
    stage.play()
    return _done()


def _send(stage: Stage, told: Told) -> Response:
    sample = stage.samples.get(_text(told, "sample")) or abort(404)
    stage.send(Message.of(sample))
    return _done()


def _send_own(stage: Stage, told: Told) -> Response:
    stage.send(Message(_OWN, "A text that you wrote", _text(told, "text").encode()))
    return _done()


def _send_all(stage: Stage, _told: Told) -> Response:
    stage.send_all()
    return _done()


def _again(stage: Stage, told: Told) -> Response:
    delivery = stage.subscription.delivery(_number(told)) or abort(404)
    if "fault" in told:
        _fail(stage, told)
    stage.send(delivery.message, _TWICE if told.get("twice") is True else 1)
    return _done()


def _now(stage: Stage, told: Told) -> Response:
    return _done() if stage.subscription.deliver_now(_number(told)) else abort(404)


def _replay(stage: Stage, told: Told) -> Response:
    return _done() if stage.replay(_number(told)) else abort(404)


def _fail(stage: Stage, told: Told) -> Response:
    name = _text(told, "fault")
    if not name:
        stage.heal()
    elif name in BY_NAME:
        stage.arm(name)
    else:
        abort(404)
    return _done()


def _job(stage: Stage, told: Told) -> Response:
    name = _text(told, "job")
    if name not in JOBS:
        abort(404)
    return _awaited(stage.run(name))


def _compare(stage: Stage, told: Told) -> Response:
    """The chosen message with another text or another sync.toml, each only where it is told."""
    data = _compared_to(stage, told)
    text, toml = told.get("text"), told.get("settings")
    if isinstance(toml, str) and (wrong := settings.problems(toml)):
        return jsonify({"problems": wrong})
    if not data and not isinstance(text, str):
        return jsonify({"problems": ["Send a message first: there is nothing to compare."]})
    other = text.encode() if isinstance(text, str) else data
    before = Side(data or other, stage.settings)
    after = Side(other, toml if isinstance(toml, str) else stage.settings)
    found = stage.subscription.do(lambda: compare(stage.sandbox, before, after)).result(_PATIENCE)
    return jsonify({"html": render_template("comparison.html", comparison=found)})


def _compared_to(stage: Stage, told: Told) -> bytes:
    """The sample or the message that was named; empty when there is none."""
    sample, delivery = stage.samples.get(str(told.get("sample"))), stage.subscription.delivery(told.get("number"))
    return sample.data if sample else delivery.message.data if delivery else b""


def _settings(stage: Stage, told: Told) -> Response:
    text = settings.DEFAULT if told.get("reset") is True else _text(told, "settings")
    if wrong := settings.problems(text):
        return jsonify({"problems": wrong})
    return _awaited(stage.use(text))


def _start_over(stage: Stage, _told: Told) -> Response:
    return _awaited(stage.start_over())


def _text(told: Told, name: str) -> str:
    text = told.get(name)
    return text if isinstance(text, str) else abort(400)


def _number(told: Told) -> int:
    number = told.get("number")
    return number if isinstance(number, int) else abort(400)


def _awaited(future: "Future[None]") -> Response:
    future.result(_PATIENCE)
    return _done()


def _done() -> Response:
    return jsonify({})
