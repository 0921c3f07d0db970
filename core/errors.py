"""What can go wrong with a message, as a tree.

    SyncError
    ├── Ignored              nothing to do: acknowledged, the reason is logged
    ├── DeadLetter           it can never succeed: published to the dead-letter topic, then acknowledged
    │   ├── Unmappable       a payload or document that has no place in Klaviyo's shape
    │   └── Refused          a backend refuses the content
    │       ├── UnknownCategory  because a category it refers to is unknown: create it, then again
    │       └── UnknownItem      because the item it belongs to is unknown: create it, then again
    └── TryAgain             it can succeed later: nacked, Pub/Sub delivers it again
        └── Unavailable      a call that is worth another attempt within the same message
    ConfigurationError       the environment or sync.toml is wrong: the start stops

Reasons are short and fixed (`"not_json"`), so they can be counted and alerted on. No error holds text of a backend or
of a document: both can carry personal data.
"""

from collections.abc import Sequence

_DENIED = "_denied"


def is_denial(reason: str) -> bool:
    """Whether a reason, as errors and log lines have it, says that a backend refuses the key or lacks a scope."""
    return reason.endswith(_DENIED)


class SyncError(Exception):
    """Base of everything that decides what becomes of a message.

    `status` is the backend's HTTP status where there was one, `code` its error code or the class of the error.
    """

    status: int | None = None
    code: str = ""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """In a few words without personal data: `klaviyo_denied 401 not_authenticated`."""
        return " ".join(filter(None, (self.reason, str(self.status or ""), self.code)))


class Ignored(SyncError):  # noqa: N818 - an outcome, not a failure
    """Nothing to do for this message."""


class DeadLetter(SyncError):  # noqa: N818 - an outcome's name in the design and in the logs
    """This message can never succeed, however often it is delivered.

    `pointer` is the place in the body that was refused (JSON:API pointer or path). `part` is the part of the message
    that it is about ("variant S-1"), if the others were written, and `copied` what a look after the write compares.
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
    """A payload or document that can't be mapped, or a body that the SDK's own validation refuses."""

    def __init__(self, code: str, pointer: str = "") -> None:
        super().__init__("unmappable", code=code, pointer=pointer)


class Refused(DeadLetter):
    """A backend refuses the content of a request.

    `operation` is the SDK's name of the call, `details` holds ids a rule may need (`duplicate_profile_id`).
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
        """Whether a backend refuses the key, or the key lacks a scope: it does not mend by itself."""
        return is_denial(self.reason)


class Unavailable(TryAgain):
    """A backend did not answer, or answered that it can't now; `retry_after` in seconds where it said so."""

    def __init__(
        self, reason: str, *, status: int | None = None, code: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(reason, status=status, code=code)
        self.retry_after = retry_after


NOT_SET = "is not set"
"""How a problem ends that is an absence."""


class ConfigurationError(Exception):
    """The settings are wrong; the text lists every problem and no secret."""

    def __init__(self, problems: Sequence[str]) -> None:
        missing = sum(problem.endswith(NOT_SET) for problem in problems)
        what = "missing or wrong" if 0 < missing < len(problems) else "missing" if missing else "wrong"
        super().__init__("\n".join([f"Settings are {what}:", *(f"  - {problem}" for problem in problems)]))
        self.problems = tuple(problems)
