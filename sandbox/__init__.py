"""Stand-ins for commercetools and Klaviyo over real HTTP, for the demo and the tests.

    with sandbox.start() as running:
        ct = sandbox.Control(running.commercetools.url)
        ct.put("customers", {"id": "c1", "email": "jane@example.com"})

They hold state, refuse what the real APIs refuse, and fail when told to. `python -m sandbox` starts them as a program.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.commercetools import Commercetools
from sandbox.control import Control, ControlError
from sandbox.klaviyo import Klaviyo
from sandbox.server import Server

__all__ = ["Control", "ControlError", "Sandbox", "start"]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Both servers; each has a `url`."""

    commercetools: Server
    klaviyo: Server


@contextmanager
def start(*, commercetools_port: int = 0, klaviyo_port: int = 0, documents: Path | None = None) -> Iterator[Sandbox]:
    """Start both servers on 127.0.0.1 (port 0: any that is free), and stop them at the end.

    `documents` is a folder whose `<collection>/*.json` the shop begins with.
    """
    shop = Commercetools()
    if documents is not None:
        shop.documents.load(documents)
    with Server(shop, commercetools_port) as commercetools, Server(Klaviyo(), klaviyo_port) as klaviyo:
        yield Sandbox(commercetools, klaviyo)
