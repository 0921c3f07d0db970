"""The files in samples/: the manifest, notifications and documents."""

import json
import tomllib
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[2] / "samples"

Json = dict[str, Any]


def read_json(path: Path) -> Json:
    """The JSON object in a file."""
    read: Json = json.loads(path.read_text(encoding="utf-8"))
    return read


def manifest() -> list[Json]:
    """The samples in samples.toml, in the order in which they are sent."""
    samples: list[Json] = tomllib.loads((SAMPLES / "samples.toml").read_text(encoding="utf-8"))["sample"]
    return samples


def notification_of(file: str) -> Json:
    """The commercetools notification in a sample, unwrapped if it is in a CloudEvent."""
    sent = read_json(SAMPLES / file)
    notification: Json = sent["data"] if "specversion" in sent else sent
    return notification
