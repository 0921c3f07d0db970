"""Who calls `sync_push`: the OIDC token that Pub/Sub sends, for hosts where no IAM stands in front."""

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
"""Seconds that Google's clock and ours may differ."""
_KEPT = 3600.0
"""Seconds that Google's certificates are kept. Google publishes a key long before it signs with it."""
_PAUSE = 5.0
"""Seconds without another attempt after the certificates could not be fetched."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a push is not taken: `status` is 401, or 503 if that can't be told now; `code` says what went wrong."""

    status: int
    reason: str
    code: str = ""


class PushTokens:
    """Tells Pub/Sub's pushes from anybody else's."""

    def __init__(self, audience: str, account: str, timeouts: Timeouts) -> None:
        self._audience = audience
        self._account = account
        self._certificates = _Certificates(timeouts)

    @classmethod
    def wanted_by(cls, settings: Settings) -> Self | None:
        """None without PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT."""
        if not (settings.push_audience and settings.push_service_account):
            return None
        limits = settings.sync.limits
        return cls(settings.push_audience, settings.push_service_account, (limits.connect_timeout, limits.read_timeout))

    def refusal(self, authorization: str | None) -> Refusal | None:
        """None if this `Authorization` header holds a token of the account for the audience, valid now."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Refusal(401, "no_token")
        # Not at the top: a start without these settings need not pay for it.
        from google.auth.exceptions import TransportError  # noqa: PLC0415
        from google.oauth2.id_token import verify_oauth2_token  # noqa: PLC0415

        try:
            claims = verify_oauth2_token(token, self._certificates, self._audience, clock_skew_in_seconds=_SKEW)
        except TransportError as error:
            return Refusal(503, "no_certificates", str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the token does not show who calls
            # Not its text, which quotes the token.
            return Refusal(401, "invalid_token", type(error).__name__)
        if claims.get("email") != self._account:
            return Refusal(401, "wrong_account")
        if claims.get("email_verified") is not True:
            return Refusal(401, "email_not_verified")
        return None


class _Certificates:
    """Google's certificates, as a `google.auth.transport.Request` that keeps what it fetched.

    One thread fetches them, the others wait for what it finds: a failure as well, so none of them starts over.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._kept: TLRUCache[str, Answer | NoAnswerError] = TLRUCache(1, ttu=_until, timer=time.monotonic)

    def __call__(self, url: str, method: str) -> Answer:
        """Raises google-auth's TransportError, with a code for its text, when the certificates can't be had."""
        from google.auth.exceptions import TransportError  # noqa: PLC0415

        with self._lock:
            try:
                kept = self._kept[url]
            except KeyError:
                kept = self._kept[url] = self._fetched(method, url)
        if isinstance(kept, NoAnswerError):
            raise TransportError(kept.code)
        return kept

    def _fetched(self, method: str, url: str) -> Answer | NoAnswerError:
        connections = Connections(compressed=True)  # not kept: an hour later it would be dead
        try:
            answer = connections.exchange(method, url, [], None, self._timeouts)
        except NoAnswerError as error:
            return error
        finally:
            connections.close()
        return answer if _holds_certificates(answer) else NoAnswerError(f"HTTP {answer.status}")


def _until(_url: str, kept: Answer | NoAnswerError, now: float) -> float:
    return now + (_KEPT if isinstance(kept, Answer) else _PAUSE)


def _holds_certificates(answer: Answer) -> bool:
    """Whether it maps ids of keys to certificates. What stands in between may answer with anything."""
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
