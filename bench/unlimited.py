"""The function of an account without limits: `functions-framework --source bench/unlimited.py`.

Its pace is kept and costs what it costs, but never makes a message wait: the benchmark is of the function, not of
Klaviyo's limits.
"""

from clients import klaviyo_quotas

_MOST = 10**9

klaviyo_quotas.QUOTAS = {name: klaviyo_quotas.Quota(_MOST, _MOST) for name in klaviyo_quotas.QUOTAS}

from main import sync_push  # noqa: E402 - it reads the quotas

__all__ = ["sync_push"]
