"""All that the page shows and steers: the sandbox, the subscription, the story, failures and settings."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from commands.page import faults
from commands.page.delivery import Message
from commands.page.jobs import JOBS
from commands.page.settings import DEFAULT, for_page
from commands.page.state_diff import Changes, changed
from commands.page.story import ACTS, Act
from commands.page.subscription import Subscription
from commands.page.topic import DeadLetterTopic
from commands.processes import Function, Sandbox, running_function, running_sandbox
from sandbox.documents import Documents
from sandbox.samples import DOCUMENTS, ENVIRONMENT, Sample, samples


@dataclass(frozen=True, slots=True)
class Note:
    """What the page's banner says, where it is not the story's last act; `changes` are those of a job."""

    step: str
    lead: str
    lines: Sequence[str] = ()
    changes: Changes | None = None


class Stage:
    """What the page's server shows and what its buttons do. Made by `staged`."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.samples: Mapping[str, Sample] = {sample.file.split("-", 1)[0]: sample for sample in samples()}
        self.settings = DEFAULT
        self.fault = ""
        self.note: Note | None = None
        self.acts_done = 0
        self.shown = 0
        self._file = folder / "sync.toml"
        self._file.write_text(for_page(DEFAULT), encoding="utf-8")
        self._environment = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": str(self._file)}
        self.subscription = Subscription(sandbox, self._function)
        self._topic = DeadLetterTopic(self.subscription.take_letter)

    def __enter__(self) -> Self:
        self._topic.__enter__()
        self.subscription.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.subscription.__exit__()
        self._topic.__exit__(None, None, None)

    @property
    def act(self) -> Act | None:
        """The last act that was played."""
        return ACTS[self.acts_done - 1] if self.acts_done else None

    @property
    def next_act(self) -> Act | None:
        """The act to come; None at the end of the story."""
        return ACTS[self.acts_done] if self.acts_done < len(ACTS) else None

    @property
    def is_failing(self) -> bool:
        """Whether a call to come will fail."""
        return faults.is_armed(self.sandbox)

    @property
    def has_own_settings(self) -> bool:
        """Whether the function runs with a sync.toml that was pasted."""
        return self.settings != DEFAULT

    def send(self, message: Message, times: int = 1) -> None:
        """Send a message, and show it."""
        self.note = Note("You sent", f"{message.shows.rstrip('.')}.")
        self.shown = self.subscription.send(message, times)

    def play(self) -> None:
        """Play the next act."""
        act = self.next_act
        if not act or (act.deed == "replay" and not self.subscription.letters):
            return
        self.acts_done += 1
        self.note = None
        if act.fault:
            self.arm(act.fault)
        elif self.is_failing:
            self.heal()
        match act.deed:
            case "heal":
                self._deliver_all_now()
            case "replay":
                for letter in self.subscription.letters[:1]:
                    self.replay(letter.number)
            case "":
                pass
            case job:
                self.run(job)
        for number in act.samples:
            sent = self.subscription.send(Message.of(self.samples[number]))
            self.shown = sent if number == act.shown else self.shown
        self.subscription.note_change()

    def send_all(self) -> None:
        """Send every sample in the order of the story; the order that it tells of is shown."""
        told = "The order that the story begins with is shown; the others stand in the list."
        self.note = Note(f"You sent all {len(self.samples)}", told)
        self.acts_done = len(ACTS)
        for number, sample in self.samples.items():
            sent = self.subscription.send(Message.of(sample))
            self.shown = sent if number == ACTS[0].shown else self.shown

    def replay(self, number: int) -> bool:
        """Send the message of a dead letter again, and show it; False when there is no such letter."""
        sent = self.subscription.replay(number)
        self.shown = sent or self.shown
        return bool(sent)

    def arm(self, name: str) -> None:
        """Have a backend fail as the menu says."""
        faults.arm(self.sandbox, faults.BY_NAME[name])
        self.fault = name
        self.subscription.note_change()

    def heal(self) -> None:
        """Both backends answer as they should."""
        faults.heal(self.sandbox)
        self.fault = ""
        self.subscription.note_change()

    def use(self, text: str) -> "Future[None]":
        """Run the function with this sync.toml from now on."""

        def use() -> None:
            self._file.write_text(for_page(text), encoding="utf-8")
            self.settings = text
            self.subscription.restart()

        return self.subscription.do(use)

    def run(self, name: str) -> "Future[None]":
        """Run a job of the menu, and keep what it said."""
        job = JOBS[name]

        def run() -> None:
            before = self.sandbox.klaviyo.state()
            lines = job.run(self.sandbox, for_page(self.settings))
            changes = changed(before, self.sandbox.klaviyo.state())
            if job.restarts:
                self.subscription.restart()
            self.note = Note(job.label, job.told, lines, changes)

        return self.subscription.do(run)

    def start_over(self) -> "Future[None]":
        """Forget everything: deliveries, what Klaviyo holds, what changed in commercetools; then play the first act."""

        def start_over() -> None:
            documents = Documents()
            documents.load(DOCUMENTS)
            self.sandbox.commercetools.reset()
            self.sandbox.klaviyo.reset()
            self.sandbox.commercetools.put_all(
                {name: list(collection.values()) for name, collection in documents.collections.items()}
            )
            self._file.write_text(for_page(DEFAULT), encoding="utf-8")
            self.settings, self.fault, self.note = DEFAULT, "", None
            self.acts_done = self.shown = 0
            self.subscription.forget()
            self.subscription.restart()
            self.play()

        return self.subscription.do(start_over)

    def _deliver_all_now(self) -> None:
        for delivery in self.subscription.deliveries:
            if delivery.is_waiting:
                self.shown = delivery.number if self.subscription.deliver_now(delivery.number) else self.shown

    @contextmanager
    def _function(self) -> Iterator[Function]:
        with running_function({**self._environment, **self._topic.environment}) as function:
            yield function


@contextmanager
def staged() -> Iterator[Stage]:
    """A sandbox with the samples' documents, the function in front of it, and nothing sent yet."""
    with (
        tempfile.TemporaryDirectory(prefix="page-") as folder,
        running_sandbox(DOCUMENTS) as sandbox,
        Stage(sandbox, Path(folder)) as stage,
    ):
        yield stage
