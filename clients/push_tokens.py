"""Verify the OIDC token that Pub/Sub sends to `sync_push`, for hosts without IAM in front."""

import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from cachetools import TLRUCache

from clients.retrying import Timeouts
from clients.transport import Answer, Connections, NoAnswerError
from core.settings import Settings
from core.wire import decoded

_SKEW = 10
"""Seconds by which Google's clock and ours may differ."""
_CACHE_SECONDS = 3600.0
"""Seconds to cache Google's certificates. Google publishes a key long before it signs with it."""
_BACKOFF_SECONDS = 5.0
"""Seconds until the next attempt if the certificates could not be fetched."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a push is refused. `status` is 401, or 503 if the token can't be verified now; `code` is the cause."""

    status: int
    reason: str
    code: str = ""


class PushTokens:
    """Checks that a push comes from Pub/Sub."""

    def __init__(self, audience: str, account: str, timeouts: Timeouts) -> None:
        self._audience = audience
        self._account = account
        self._certificates = _Certificates(timeouts)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """The check that the settings ask for; None without PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT."""
        if not (settings.push_audience and settings.push_service_account):
            return None
        limits = settings.sync.limits
        return cls(settings.push_audience, settings.push_service_account, (limits.connect_timeout, limits.read_timeout))

    def refusal(self, authorization: str | None) -> Refusal | None:
        """None if this `Authorization` header has a valid token of the account for the audience."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Refusal(401, "no_token")
        # Imported here, so that a start without these settings does not take the time.
        from google.auth.exceptions import TransportError  # noqa: PLC0415
        from google.oauth2.id_token import verify_oauth2_token  # noqa: PLC0415

        try:
            claims = verify_oauth2_token(token, self._certificates, self._audience, clock_skew_in_seconds=_SKEW)
        except TransportError as error:
            return Refusal(503, "no_certificates", str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the token is not valid
            # Not the error's text, which quotes the token.
            return Refusal(401, "invalid_token", type(error).__name__)
        if claims.get("email") != self._account:
            return Refusal(401, "wrong_account")
        if claims.get("email_verified") is not True:
            return Refusal(401, "email_not_verified")
        return None


class _Certificates:
    """A `google.auth.transport.Request` that fetches Google's certificates and caches the answer.

    One thread fetches them while the others wait for its result. A failure is cached for a short time as well, so that
    the waiting threads do not each try again.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._cache: TLRUCache[str, Answer | NoAnswerError] = TLRUCache(1, ttu=_expires_at, timer=time.monotonic)

    def __call__(self, url: str, method: str) -> Answer:
        """The answer with the certificates. Raises google-auth's TransportError, with a code as its text."""
        from google.auth.exceptions import TransportError  # noqa: PLC0415

        with self._lock:
            try:
                result = self._cache[url]
            except KeyError:
                result = self._cache[url] = self._fetch(method, url)
        if isinstance(result, NoAnswerError):
            raise TransportError(result.code)
        return result

    def _fetch(self, method: str, url: str) -> Answer | NoAnswerError:
        connections = Connections(compressed=True)  # not reused: an hour later the connection would be closed
        try:
            answer = connections.exchange(method, url, [], None, self._timeouts)
        except NoAnswerError as error:
            return error
        finally:
            connections.close()
        return answer if _has_certificates(answer) else NoAnswerError(f"HTTP {answer.status}")


def _expires_at(_url: str, result: Answer | NoAnswerError, now: float) -> float:
    return now + (_CACHE_SECONDS if isinstance(result, Answer) else _BACKOFF_SECONDS)


def _has_certificates(answer: Answer) -> bool:
    """True if the body maps key ids to certificates. A proxy may have answered with anything else."""
    try:
        keys = decoded(answer.data)
    except (ValueError, RecursionError):
        return False
    return (
        answer.status == HTTPStatus.OK
        and isinstance(keys, dict)
        and bool(keys)
        and all(isinstance(text, str) and text.startswith("-----BEGIN CERTIFICATE-----") for text in keys.values())
    )
