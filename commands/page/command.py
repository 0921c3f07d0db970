"""`manage.py demo --serve`: run the sandbox, the function and the page until Ctrl-C."""

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

from commands.page.app_state import AppState, running_app
from commands.page.server import create_app

HOST = "127.0.0.1"


def serve(port: int) -> None:
    """Serve the page and print its address, until interrupted. Raises click.ClickException if the port is in use."""
    signal.signal(signal.SIGTERM, _exit)
    try:
        with page_server(port) as served:
            click.echo(f"The page is at {served.url} - press Ctrl-C to stop.")
            served.server.serve_forever()
    except KeyboardInterrupt:
        pass
    click.echo("Stopped.")


@dataclass(frozen=True, slots=True)
class PageServer:
    """The page's HTTP server, and the state that it shows."""

    server: BaseWSGIServer
    app_state: AppState

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{HOST}:{self.server.port}/"


@contextmanager
def page_server(port: int, *, plays_first_step: bool = True) -> Iterator[PageServer]:
    """The page's server with sandbox and function running, ready for `serve_forever`. Port 0 means any free port."""
    with _listening_socket(port) as listener, running_app() as app_state:
        app = create_app(app_state)
        server = make_server(HOST, port, app, threaded=True, request_handler=_QuietRequestHandler, fd=listener.fileno())
        if plays_first_step:
            app_state.play_next_step()
        try:
            yield PageServer(server, app_state)
        finally:
            server.server_close()


def _listening_socket(port: int) -> socket.socket:
    """Bind before anything else starts, so that a port in use is reported at once."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        raise click.ClickException(f"Port {port} is in use. Choose another one with --port.") from None
    return listener


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


class _QuietRequestHandler(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """Log no requests: the page itself shows what happens."""
