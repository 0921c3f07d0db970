"""The version, and how this package names itself to the servers it calls."""

VERSION = "0.2.0.dev0"
"""As CHANGELOG.md counts; `.dev0` until that section is released."""

USER_AGENT = f"commercetools-klaviyo-sync/{VERSION}"
