"""HTTP requests and answers: parsing and encoding."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import parse_qs, unquote

JSON_TYPE = "application/json"
REASONS = {status.value: status.phrase for status in HTTPStatus}
NO_BODY = {204, 304}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_encoder = json.JSONEncoder(separators=(",", ":"))


class Request:
    """A request. `path` is percent-decoded; `segments` are split first and decoded after, so `%2F` does not split."""

    __slots__ = ("_json", "body", "headers", "method", "path", "query", "segments", "target")

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        if target.startswith("http://"):
            # Absolute form: servers have to accept it, and simple clients follow links this way.
            target = self.target = "/" + target.split("/", 3)[-1]
        raw, _, query = target.partition("?")
        if "%" in raw:
            self.path = unquote(raw)
            self.segments = [unquote(segment) for segment in raw.strip("/").split("/")]
        else:
            self.path = raw
            self.segments = raw.strip("/").split("/")
        self.query: dict[str, list[str]] = parse_qs(query, keep_blank_values=True) if query else {}
        self._json: Any = None

    def json(self) -> Any:
        """The body parsed as JSON, cached; None for an empty body. Raises ValueError if it is not valid JSON."""
        if self._json is None and self.body:
            try:
                self._json = _decoder.decode(self.body.decode())
            except RecursionError as error:
                raise ValueError("nested too deeply") from error
        return self._json

    def json_or_none(self) -> Any:
        """The body parsed as JSON for the request record; None if it is not valid JSON."""
        try:
            return self.json()
        except ValueError:
            return None

    @property
    def origin(self) -> str:
        """The scheme and host that the client used, for links in answers."""
        return f"http://{self.headers.get('host', '127.0.0.1')}"


@dataclass(slots=True)
class Answer:
    """An answer. `body` is sent as JSON; bytes are sent unchanged, and None means no body."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE

    def encode(self, *, closing: bool = False) -> bytes:
        """Head and body as one piece, so that one send is enough."""
        head, body = self.parts(closing=closing)
        return head + body

    def parts(self, *, closing: bool = False, extra_length: int = 0) -> tuple[bytes, bytes]:
        """Head and body. Content-Length is `extra_length` bytes too large, to fake a truncated answer."""
        body = b"" if self.body is None else self.body if isinstance(self.body, bytes) else encoded(self.body)
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}"]
        if body:
            lines.append(f"Content-Type: {self.content_type}")
        if self.status not in NO_BODY:
            lines.append(f"Content-Length: {len(body) + extra_length}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if closing:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"), body


def encoded(value: Any) -> bytes:
    """Compact JSON as bytes."""
    return _encoder.encode(value).encode()


def is_number(value: object) -> bool:
    """True for a finite JSON number; booleans don't count."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
