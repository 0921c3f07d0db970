"""What `manage.py status` has found, and what there is to do about it first."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from commands.google_cloud import NO_CREDENTIALS, Queue
from commands.pubsub_names import PubSubName

QUEUE, LOG, LETTERS, KEYS = "the queue", "the log", "dead letters", "the keys"
"""What is looked at."""
ACCEPTED = "accepted"
"""What is said of a key that a backend takes."""

_LONG = 600
"""Seconds: the longest pause between two attempts. Older messages have failed more than once."""


@dataclass
class Status:
    """What was found. `unseen` says why something could not be looked at, `keys` what each backend says of its key.

    `denied` names where a key is refused: by a backend now, or in the newest line that the log has of a resource type.
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
    """What to do first, why, and the command."""

    why: str
    command: str


def advice(seen: Status, topic: PubSubName, service: str | None) -> Iterator[Advice]:
    """What there is to do, the most urgent first."""
    check = f"python3 manage.py check --topic {topic}"
    if seen.denied:
        yield Advice(
            f"A key is wrong or lacks a scope ({', '.join(seen.denied)}). Messages wait; put the right one into its"
            " secret.",
            check,
        )
    if not seen.queues and QUEUE not in seen.unseen:
        yield Advice(
            "The topic has no subscription: what commercetools publishes reaches nobody, and is lost. Deploy again.",
            "terraform -chdir=terraform apply, or ./deploy.sh",
        )
    waits = max((queue.oldest or 0 for queue in seen.queues.values()), default=0)
    if waits > _LONG and not seen.outcomes and LOG not in seen.unseen:
        yield Advice(
            "Messages wait, and the log shows none that was processed. Either the function does not start, or Pub/Sub"
            " may not call it, or its log is kept elsewhere (on a VM, for example).",
            check,
        )
    unforeseen = [reason for reason in seen.reasons if "unforeseen" in reason]
    if unforeseen:
        yield Advice(f"Something that nobody thought of ({', '.join(unforeseen)}). Report it.", _lines(topic, service))
    if seen.letters:
        yield Advice(
            f"{sum(seen.letters.values())} messages were put aside. See why, mend it, then replay them.",
            f"python3 manage.py dead-letters list --subscription {seen.letters_from}",
        )
    if waits > _LONG:
        if any("throttled" in reason for reason in seen.reasons):
            yield Advice(
                "Klaviyo's or commercetools' limits are reached: it drains by itself. Look again in ten minutes.",
                f"python3 manage.py status --topic {topic}",
            )
        yield Advice("Messages wait longer than ten minutes: their lines in the log say why.", _lines(topic, service))
    if any(NO_CREDENTIALS in why for why in seen.unseen.values()):
        yield Advice("Without Google credentials little can be seen.", "gcloud auth application-default login")
    if any(told != ACCEPTED for told in seen.keys.values()):
        yield Advice("A backend does not answer as it should: see its status page. Messages wait.", check)


def _lines(topic: PubSubName, service: str | None) -> str:
    """The command that shows what was retried."""
    of_service = f' AND resource.labels.service_name="{service}"' if service else ""
    condition = f'jsonPayload.outcome="retried"{of_service}'
    return f"gcloud logging read '{condition}' --project={topic.project} --freshness=1h --limit=20"
