"""A complete environment for the tests of settings."""

import json
from collections.abc import Callable

from core.settings import Settings

SECRET = "a-very-secret-value"
ENVIRONMENT = {
    "CT_API_URL": "https://api.example.com/",
    "CT_AUTH_URL": "http://127.0.0.1:9",
    "CT_PROJECT_ID": "shop",
    "CT_SCOPE": "view_orders:shop  view_products:shop",
    "CT_API_CLIENT": json.dumps({"clientId": "client", "secret": SECRET}),
    "KLAVIYO_AUTH_KEY": SECRET,
}
"""The required variables, with valid values."""
OPTIONAL = (
    "CT_SCOPES", "KLAVIYO_API_URL", "APP_TYPE", "PUB_SUB_PORT", "SKIP_BASE64_ENCODING", "PREFERRED_LOCALE",
    "PREFERRED_CURRENCY", "PRODUCT_URL_TEMPLATE", "DEAD_LETTER_TOPIC", "SYNC_CONFIG", "THREADS", "SYNC",
    "PUSH_AUDIENCE", "PUSH_SERVICE_ACCOUNT", "K_SERVICE",
)  # fmt: skip

Load = Callable[..., Settings]
"""Loads the settings from `ENVIRONMENT` with the given changes."""
