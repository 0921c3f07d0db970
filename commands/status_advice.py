"""What `manage.py status` found, and what to do about it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from commands.google_cloud import NO_CREDENTIALS, Queue
from commands.pubsub_names import PubSubName

QUEUE, LOG, LETTERS, KEYS = "the queue", "the log", "dead letters", "the keys"
"""What is checked; keys of `Status.unseen`."""
ACCEPTED = "accepted"
"""The result for a key that its backend accepts."""

_LONG_WAIT = 600
"""Seconds: the longest delay between two delivery attempts. An older message has failed more than once."""


@dataclass
class Status:
    """What was found; the fields are the keys of the JSON report.

    `unseen` says why something could not be checked, `keys` how each backend answers to its key. `denied` names where a
    key is refused: by a backend now, or in the newest log line of a resource type.
    """

    queues: dict[str, Queue] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    has_more_lines: bool = False
    letters: Counter[str] = field(default_factory=Counter)
    letters_from: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    denied: list[str] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advice:
    """What is wrong, and the command to run."""

    why: str
    command: str


def advice(report: Status, topic: PubSubName, service: str | None) -> Iterator[Advice]:
    """What to do, most urgent first."""
    check = f"python3 manage.py check --topic {topic}"
    if report.denied:
        yield Advice(
            f"A key is wrong or lacks a scope ({', '.join(report.denied)}). Messages wait until"
            " its secret holds a key that works.",
            check,
        )
    if not report.queues and QUEUE not in report.unseen:
        yield Advice(
            "The topic has no subscription: every message that commercetools publishes is lost. Deploy again.",
            "terraform -chdir=terraform apply, or ./deploy.sh",
        )
    oldest = max((queue.oldest or 0 for queue in report.queues.values()), default=0)
    if oldest > _LONG_WAIT and not report.outcomes and LOG not in report.unseen:
        yield Advice(
            "Messages are waiting, but the log shows none being processed. Either the function does not start, or"
            " Pub/Sub may not call it, or it logs elsewhere (on a VM, for example).",
            check,
        )
    unforeseen = [reason for reason in report.reasons if "unforeseen" in reason]
    if unforeseen:
        yield Advice(
            f"Unexpected errors ({', '.join(unforeseen)}). Report them as a bug.", _log_command(topic, service)
        )
    if report.letters:
        yield Advice(
            f"Dead letters: {sum(report.letters.values())}. Find out why, fix the cause, then replay them.",
            f"python3 manage.py dead-letters list --subscription {report.letters_from}",
        )
    if oldest > _LONG_WAIT:
        if any("throttled" in reason for reason in report.reasons):
            yield Advice(
                "Klaviyo or commercetools throttles the sync. The queue drains by itself: check again in ten minutes.",
                f"python3 manage.py status --topic {topic}",
            )
        yield Advice(
            "Messages have been waiting for more than ten minutes. Their log lines say why.",
            _log_command(topic, service),
        )
    if any(NO_CREDENTIALS in why for why in report.unseen.values()):
        yield Advice(
            "Little can be checked without Google credentials. Log in.", "gcloud auth application-default login"
        )
    if any(result != ACCEPTED for result in report.keys.values()):
        yield Advice("A backend does not work. Messages wait until it does; see its status page.", check)


def _log_command(topic: PubSubName, service: str | None) -> str:
    """The command that shows the log lines of retried messages."""
    of_service = f' AND resource.labels.service_name="{service}"' if service else ""
    condition = f'jsonPayload.outcome="retried"{of_service}'
    return f"gcloud logging read '{condition}' --project={topic.project} --freshness=1h --limit=20"
