"""`manage.py demo --serve`: sandbox, function and page, until Ctrl-C."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import click
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from commands.page.app_state import Stage, staged
from commands.page.server import page

HOST = "127.0.0.1"


def serve(port: int) -> None:
    """Serve the page and say where, until interrupted. Raises click.ClickException when the port is taken."""
    signal.signal(signal.SIGTERM, _end)
    try:
        with page_server(port) as served:
            click.echo(f"The page is at {served.url} - Ctrl-C ends it.")
            served.server.serve_forever()
    except KeyboardInterrupt:
        pass
    click.echo("Ended.")


@dataclass(frozen=True, slots=True)
class Served:
    """The page's server, and what it shows."""

    server: BaseWSGIServer
    stage: Stage

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server.port}/"


@contextmanager
def page_server(port: int, *, plays: bool = True) -> Iterator[Served]:
    """The page with all that belongs to it, ready for `serve_forever`; `plays` the first act of its story.

    Port 0: any that is free.
    """
    with _bound(port) as listener, staged() as stage:
        server = make_server(HOST, port, page(stage), threaded=True, request_handler=_Silent, fd=listener.fileno())
        if plays:
            stage.play()
        try:
            yield Served(server, stage)
        finally:
            server.server_close()


def _bound(port: int) -> socket.socket:
    """A listening socket: a port that is taken is told before anything starts."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        raise click.ClickException(f"Port {port} is taken: name another one with --port.") from None
    return listener


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """The page itself says what happens."""
