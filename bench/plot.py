"""A plot of the model: messages per second by number of instances, up to Klaviyo's limits. Plain SVG for docs/."""

import math
from collections.abc import Callable, Mapping, Sequence
from xml.sax.saxutils import escape

from bench.saturation import MIXES, Instance, saturating_rates

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 250, 40, 50
_COLOURS = ("#0b6e4f", "#2a5bd7", "#c2410c", "#7c3aed", "#a16207")
_TITLE = "Messages per second by number of instances: Klaviyo's limits are the ceiling"
_HEAD = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">'
)


def saturation_plot(
    instance: Instance, max_instances: int = 8, mixes: Mapping[str, Mapping[str, float]] = MIXES
) -> str:
    """One line per mix, which rises with the instances until it reaches the first of Klaviyo's limits."""
    ceilings = {name: next(iter(saturating_rates(shares).items())) for name, shares in mixes.items()}
    highest = 5 * math.ceil(max(ceiling for _, ceiling in ceilings.values()) * 1.05 / 5)

    def x(instances: float) -> float:
        return _LEFT + instances / max_instances * (_WIDTH - _LEFT - _RIGHT)

    def y(rate: float) -> float:
        return _HEIGHT - _BOTTOM - rate / highest * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        _HEAD,
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="14">{_TITLE}</text>',
        *_axes(max_instances, highest, x, y),
    ]
    labels = []
    for (name, shares), colour in zip(mixes.items(), _COLOURS, strict=False):
        operation, ceiling = ceilings[name]
        knee = min(ceiling / instance.capacity(shares), max_instances)
        corners = ((0.0, 0.0), (knee, knee * instance.capacity(shares)), (max_instances, ceiling))
        points = " ".join(f"{x(instances):.1f},{y(rate):.1f}" for instances, rate in corners)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        labels.append((y(ceiling), f"{name}: {ceiling:.1f}/s, {operation}", colour))
    return "\n".join([*parts, *_end_labels(labels), "</svg>\n"])


def _axes(most: int, highest: float, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    parts = [f'<path d="M{x(0):.0f},{y(highest):.0f} V{y(0):.0f} H{x(most):.0f}" fill="none" stroke="#444"/>']
    parts += [
        f'<text x="{x(instances):.0f}" y="{y(0) + 18:.0f}" text-anchor="middle">{instances}</text>'
        for instances in range(most + 1)
    ]
    for quarter in range(5):
        rate = highest * quarter / 4
        parts.append(f'<text x="{x(0) - 6:.0f}" y="{y(rate) + 4:.0f}" text-anchor="end">{rate:.0f}</text>')
    parts.append(f'<text x="{x(most / 2):.0f}" y="{y(0) + 38:.0f}" text-anchor="middle">instances</text>')
    return parts


def _end_labels(labels: Sequence[tuple[float, str, str]]) -> list[str]:
    """Labels at the ends of their lines, without overlaps."""
    parts = []
    lowest = 0.0
    for height, text, colour in sorted(labels):
        lowest = max(height + 4, lowest + 15)
        parts.append(f'<text x="{_WIDTH - _RIGHT + 8}" y="{lowest:.0f}" fill="{colour}">{escape(text)}</text>')
    return parts
