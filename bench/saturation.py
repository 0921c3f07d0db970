"""A model of Klaviyo's limits: the rate at which a mix reaches them, and the number of instances that takes.

Klaviyo counts per operation and account, in windows of a second and of a minute, so all instances share the limits.
Source: Klaviyo API reference, "Rate limits" of each operation.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from bench.documents import CHANGED_VARIANTS
from bench.mix import LINE_ITEMS, SHARES


@dataclass(frozen=True, slots=True)
class Limit:
    """Klaviyo's rate limit for one operation."""

    per_second: int
    per_minute: int

    @property
    def steady(self) -> float:
        """Calls per second that can be sustained."""
        return min(self.per_second, self.per_minute / 60)


WRITES = Limit(75, 750)
"""Profile and catalog writes; each operation has its own limit."""
EVENTS = Limit(350, 3500)
"""Events and catalog reads; each operation has its own limit."""

LIMITS: Mapping[str, Limit] = {
    "create_event": EVENTS,
    "create_or_update_profile": WRITES,
    "update_catalog_item": WRITES,
    "update_catalog_variant": WRITES,
    "get_variants_for_catalog_item": EVENTS,
    "get_catalog_item": EVENTS,
    "get_category_ids_for_catalog_item": EVENTS,
}

Calls = Mapping[str, float]

CALLS: Mapping[str, Calls] = {
    "customer updated": {"create_or_update_profile": 1},
    "order created": {"create_event": 1 + LINE_ITEMS},
    "order state changed": {"create_event": 1},
    "product published": {
        "get_variants_for_catalog_item": 1,
        "get_catalog_item": 1,
        "get_category_ids_for_catalog_item": 1,
        "update_catalog_variant": CHANGED_VARIANTS,
    },
    "inventory updated": {"update_catalog_variant": 1},
}
"""Calls to Klaviyo per message, by kind."""

READS: Mapping[str, float] = {
    "customer updated": 2,
    "order created": 2,
    "order state changed": 3,
    "product published": 4,
    "inventory updated": 2,
}
"""Calls to commercetools per message, if the products of orders are cached."""

MIXES: Mapping[str, Mapping[str, float]] = {
    "the mix": SHARES,
    "customers": {"customer updated": 1.0},
    "orders": {"order created": 2 / 3, "order state changed": 1 / 3},
    "products": {"product published": 1.0},
    "stock": {"inventory updated": 1.0},
}


def calls_per_message(shares: Mapping[str, float], calls: Mapping[str, Calls] = CALLS) -> dict[str, float]:
    """Calls per operation of an average message of the mix."""
    total: defaultdict[str, float] = defaultdict(float)
    for kind, share in shares.items():
        for operation, count in calls[kind].items():
            total[operation] += share * count
    return dict(total)


def saturating_rates(shares: Mapping[str, float], calls: Mapping[str, Calls] = CALLS) -> dict[str, float]:
    """Messages per second at which each operation reaches its limit, lowest rate first."""
    rates = {name: LIMITS[name].steady / count for name, count in calls_per_message(shares, calls).items() if count}
    return dict(sorted(rates.items(), key=lambda pair: pair[1]))


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance: threads for messages and for parallel writes, latencies in seconds, CPU milliseconds per message.

    The defaults are Terraform's 8 threads, and half a second for a write.
    """

    threads: int = 8
    writers: int = 8
    commercetools_seconds: float = 0.1
    klaviyo_seconds: float = 0.5
    cpu_ms: float = 10.0

    def capacity(self, shares: Mapping[str, float]) -> float:
        """Messages per second of a mix, limited by the threads that wait for answers or by the one CPU."""
        writes = sum(calls_per_message(shares).values())
        reads = sum(share * READS[kind] for kind, share in shares.items())
        waiting = writes * self.klaviyo_seconds + reads * self.commercetools_seconds
        return min((self.threads + self.writers) / waiting, 1000 / self.cpu_ms)


def throughput(instances: int, shares: Mapping[str, float], instance: Instance) -> tuple[float, str]:
    """Messages per second of this many instances, and the bottleneck: `instances`, or an operation of Klaviyo's."""
    operation, ceiling = next(iter(saturating_rates(shares).items()))
    capacity = instances * instance.capacity(shares)
    return (capacity, "instances") if capacity < ceiling else (ceiling, operation)


def instances_to_saturate(shares: Mapping[str, float], instance: Instance) -> int:
    """The fewest instances that reach Klaviyo's limit for a mix. More instances only wait."""
    return math.ceil(next(iter(saturating_rates(shares).values())) / instance.capacity(shares))
