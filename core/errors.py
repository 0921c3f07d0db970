"""The exceptions that decide what happens to a message.

    SyncError
    ├── Ignored              nothing to do: acknowledged, the reason is logged
    ├── DeadLetter           it can never succeed: published to the dead-letter topic, then acknowledged
    │   ├── Unmappable       a payload or document that can't be mapped to what Klaviyo accepts
    │   └── Refused          a backend refuses the content
    │       ├── UnknownCategory  because it refers to an unknown category: create that, then retry
    │       └── UnknownItem      because it belongs to an unknown item: create that, then retry
    └── TryAgain             it can succeed later: nacked, and Pub/Sub redelivers it
        └── Unavailable      a failed call that is worth retrying within the same message
    ConfigurationError       the environment or sync.toml is wrong: the process does not start

Reasons are short and fixed (`"not_json"`), so they can be counted and alerted on. No error holds text from a backend or
a document: both can contain personal data.
"""

from collections.abc import Sequence

_DENIED = "_denied"


def is_denial(reason: str) -> bool:
    """True if this reason, from an error or a log line, means a refused key or a missing scope."""
    return reason.endswith(_DENIED)


class SyncError(Exception):
    """Base of all outcomes other than success.

    `status` is the backend's HTTP status if it answered. `code` is its error code, or the class of an exception.
    """

    status: int | None = None
    code: str = ""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """A short text without personal data: `klaviyo_denied 401 not_authenticated`."""
        return " ".join(filter(None, (self.reason, str(self.status or ""), self.code)))


class Ignored(SyncError):  # noqa: N818 - an outcome, not a failure
    """There is nothing to do for this message."""


class DeadLetter(SyncError):  # noqa: N818 - an outcome, not a failure
    """This message can never succeed, however often it is delivered.

    `pointer` is the refused place in the body (a JSON:API pointer or a path). If only one part of the message was
    refused and the others were written, `part` names it ("variant S-1"). Then `copied` is what the handler's write
    would have returned: the check after the write needs it to see if the resource has changed since.
    """

    def __init__(self, reason: str, *, status: int | None = None, code: str = "", pointer: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.pointer = pointer
        self.part = ""
        self.copied: object = None

    def __str__(self) -> str:
        return " ".join(filter(None, (super().__str__(), self.part, self.pointer)))


class Unmappable(DeadLetter):
    """A payload or document can't be mapped, or the SDK's own validation refuses the body."""

    def __init__(self, code: str, pointer: str = "") -> None:
        super().__init__("unmappable", code=code, pointer=pointer)


class Refused(DeadLetter):
    """A backend refuses the content of a request.

    `operation` is the SDK's name of the call. `details` holds ids that handling may need (`duplicate_profile_id`).
    """

    def __init__(
        self,
        backend: str,
        operation: str,
        *,
        status: int,
        code: str = "",
        pointer: str = "",
        details: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{backend}_refused", status=status, code=code, pointer=pointer)
        self.operation = operation
        self.details = details or {}


class UnknownCategory(Refused):
    """Klaviyo refuses an item because it does not know one of its categories."""


class UnknownItem(Refused):
    """Klaviyo refuses a variant because it does not know its item."""


class TryAgain(SyncError):  # noqa: N818 - an outcome, not a failure
    """This message can succeed later."""

    def __init__(self, reason: str, *, status: int | None = None, code: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.code = code

    @property
    def is_denied(self) -> bool:
        """True if a backend refuses the key or the key lacks a scope: retries fail until a person fixes that."""
        return is_denial(self.reason)


class Unavailable(TryAgain):
    """A backend did not answer, or can't process the call now. `retry_after` is in seconds, if the backend gave it."""

    def __init__(
        self, reason: str, *, status: int | None = None, code: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(reason, status=status, code=code)
        self.retry_after = retry_after


NOT_SET = "is not set"
"""The end of a problem's text if the setting is missing."""


class ConfigurationError(Exception):
    """The settings are wrong. The text lists every problem and shows no secret."""

    def __init__(self, problems: Sequence[str]) -> None:
        missing = sum(problem.endswith(NOT_SET) for problem in problems)
        what = "missing or wrong" if 0 < missing < len(problems) else "missing" if missing else "wrong"
        super().__init__("\n".join([f"Settings are {what}:", *(f"  - {problem}" for problem in problems)]))
        self.problems = tuple(problems)
