"""`python -m sandbox`: start both stand-ins and say where they are, until SIGTERM or SIGINT."""

import argparse
import gc
import json
import signal
import sys
import threading
from pathlib import Path

from sandbox import start


def main() -> None:
    """Run until told to end."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Stand-ins for commercetools and Klaviyo.")
    parser.add_argument("--commercetools-port", type=int, default=0, metavar="N", help="0 (default): any free port")
    parser.add_argument("--klaviyo-port", type=int, default=0, metavar="N", help="0 (default): any free port")
    parser.add_argument("--documents", type=Path, metavar="DIR", help="load DIR/<collection>/*.json at start")
    told = parser.parse_args()
    # The record only grows and has no cycles: looking for some would cost more with every request.
    gc.disable()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with start(
        commercetools_port=told.commercetools_port, klaviyo_port=told.klaviyo_port, documents=told.documents
    ) as running:
        line = json.dumps({"commercetools": running.commercetools.url, "klaviyo": running.klaviyo.url})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        ended.wait()


if __name__ == "__main__":
    main()
