"""Addresses of images: percent-encoded where they hold what a URL can't, as people upload files of any name."""

import re
from urllib.parse import quote, urlsplit

import idna

_FINE = re.compile(r"(?:[A-Za-z0-9\-._~:/?#@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SAFE = "/:@!$&'()*+,;=%"


def image_url(address: str) -> str:
    """The address as a valid URL; one that is valid already stays as it is. Source: RFC 3986."""
    if _FINE.fullmatch(address):
        return address
    try:
        parts = urlsplit(address)
        host = parts.netloc if parts.netloc.isascii() else _ascii(parts.netloc)
    except ValueError:  # no URL at all: nothing but its characters can be put right
        return _encoded(address, f"{_SAFE}?#")
    return parts._replace(
        netloc=host,
        path=_encoded(parts.path, _SAFE),
        query=_encoded(parts.query, f"{_SAFE}?"),
        fragment=_encoded(parts.fragment, f"{_SAFE}?"),
    ).geturl()


def _ascii(netloc: str) -> str:
    """A host of other letters as DNS has it (IDNA 2008). Raises ValueError for none."""
    host, colon, port = netloc.partition(":")
    return idna.encode(host, uts46=True).decode() + colon + port


def _encoded(text: str, safe: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=safe, errors="replace")
