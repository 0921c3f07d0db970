"""The version, and the user agent that this package sends."""

VERSION = "0.2.0"
"""The latest release in CHANGELOG.md, or the next one with `.dev0` while its section is called Unreleased."""

USER_AGENT = f"commercetools-klaviyo-sync/{VERSION}"
