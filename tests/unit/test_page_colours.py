"""Contrast of the page's colours."""

import re

import pytest

from commands.processes import ROOT

PAIRS = [
    *(("ink", ground) for ground in ("ground", "panel", "sunk", "accent-ground", "line")),
    *(("quiet", ground) for ground in ("ground", "panel", "sunk")),
    *((colour, "sunk") for colour in ("text", "number")),
    *((name, f"{name}-ground") for name in ("good", "wait", "bad", "accent")),
    *((name, "panel") for name in ("good", "wait", "bad", "accent")),
    ("accent-ink", "accent"),
    ("lit-ink", "lit"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("colour", "ground"), PAIRS)
def test_text_has_enough_contrast(scheme: str, colour: str, ground: str) -> None:
    """The contrast of text and background is at least 4.5 to 1 in both themes. Source: WCAG 2, level AA."""
    css = (ROOT / "commands/page/static/css/base.css").read_text(encoding="utf-8")
    block = css.split(":root {")[1 if scheme == "light" else 2].split("}")[0]
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6});", block))
    lighter, darker = sorted((_luminance(colours[colour]), _luminance(colours[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    linear = [channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
