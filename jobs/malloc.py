"""Memory of a long run: glibc gives every few threads a heap of their own, and none of them takes back what it held."""

import ctypes

_M_ARENA_MAX = -8
"""Source: glibc's malloc.h."""


def share_one_heap() -> None:
    """Have all threads share one heap, where the C library can be told: else memory grows from batch to batch."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_ARENA_MAX, 1)
