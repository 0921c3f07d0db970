"""Memory use of long runs: glibc gives threads separate heaps, and memory freed in one is not reused by the others."""

import ctypes

_M_ARENA_MAX = -8
"""Source: glibc's malloc.h."""


def share_one_heap() -> None:
    """Make all threads share one heap if the C library supports it. Otherwise memory grows with every batch."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_ARENA_MAX, 1)
