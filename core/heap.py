"""The garbage collector of a server that runs for long.

What is imported stays: more than a hundred thousand objects, which a full collection would walk again and again, are
put where it does not look. What a message makes is freed when its last reference goes; the collector is for the few
cycles among it, so it may wait for more of them than it does by default.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG_OBJECTS = 50_000
"""Objects that are made and not freed before the collector looks at them; several big documents at a time."""


@contextmanager
def lasting() -> Iterator[None]:
    """What is made inside stays for as long as the process: the collector rests, and passes it over ever after."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
        gc.enable()
