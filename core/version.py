"""The version, and the user agent that this package sends."""

VERSION = "0.2.0"
"""The next version, with `.dev0` until its section in CHANGELOG.md is released."""

USER_AGENT = f"commercetools-klaviyo-sync/{VERSION}"
