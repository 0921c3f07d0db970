"""`python -m sandbox`: start both stand-ins, print their URLs as one line of JSON, and run until SIGTERM or SIGINT."""

import argparse
import gc
import json
import signal
import sys
import threading
from pathlib import Path

from sandbox import start


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Stand-ins for commercetools and Klaviyo.")
    parser.add_argument("--commercetools-port", type=int, default=0, metavar="N", help="0 (default): any free port")
    parser.add_argument("--klaviyo-port", type=int, default=0, metavar="N", help="0 (default): any free port")
    parser.add_argument("--documents", type=Path, metavar="DIR", help="load DIR/<collection>/*.json at the start")
    options = parser.parse_args()
    # The request record only grows and holds no reference cycles: a collection frees nothing and costs more each time.
    gc.disable()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with start(
        commercetools_port=options.commercetools_port, klaviyo_port=options.klaviyo_port, documents=options.documents
    ) as running:
        line = json.dumps({"commercetools": running.commercetools.url, "klaviyo": running.klaviyo.url})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        stopped.wait()


if __name__ == "__main__":
    main()
