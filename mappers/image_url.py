"""Image URLs, percent-encoded if necessary: people upload files with any name."""

import re
from urllib.parse import quote, urlsplit

import idna

_VALID = re.compile(r"(?:[A-Za-z0-9\-._~:/?#@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SAFE = "/:@!$&'()*+,;=%"


def image_url(address: str) -> str:
    """The address as a valid URL. A valid one is returned unchanged. Source: RFC 3986."""
    if _VALID.fullmatch(address):
        return address
    try:
        parts = urlsplit(address)
        host = parts.netloc if parts.netloc.isascii() else _ascii(parts.netloc)
    except ValueError:  # not a URL: only its characters can be fixed
        return _encoded(address, f"{_SAFE}?#")
    return parts._replace(
        netloc=host,
        path=_encoded(parts.path, _SAFE),
        query=_encoded(parts.query, f"{_SAFE}?"),
        fragment=_encoded(parts.fragment, f"{_SAFE}?"),
    ).geturl()


def _ascii(netloc: str) -> str:
    """An internationalized host name in ASCII (IDNA 2008). Raises ValueError if it is not a valid host name."""
    host, colon, port = netloc.partition(":")
    return idna.encode(host, uts46=True).decode() + colon + port


def _encoded(text: str, safe: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=safe, errors="replace")
