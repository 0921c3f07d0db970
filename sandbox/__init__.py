"""Stand-ins for commercetools and Klaviyo over real HTTP, for the demo and the tests.

    with sandbox.start() as running:
        ct = sandbox.Control(running.commercetools.url)
        ct.put("customers", {"id": "c1", "email": "jane@example.com"})

Both keep state in memory, reject what the real APIs reject, and fail on demand. `python -m sandbox` runs them as a
program.
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
    """Both running servers; each has a `url`."""

    commercetools: Server
    klaviyo: Server


@contextmanager
def start(*, commercetools_port: int = 0, klaviyo_port: int = 0, documents: Path | None = None) -> Iterator[Sandbox]:
    """Run both servers on 127.0.0.1 (port 0: any free port) until the block ends.

    `documents` is a folder; its `<collection>/*.json` files are loaded into commercetools at the start.
    """
    shop = Commercetools()
    if documents is not None:
        shop.documents.load(documents)
    with Server(shop, commercetools_port) as commercetools, Server(Klaviyo(), klaviyo_port) as klaviyo:
        yield Sandbox(commercetools, klaviyo)
