"""Everything the page shows and controls: sandbox, function, subscription, story, failures and settings."""

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
from commands.page.settings import DEFAULT, with_short_pauses
from commands.page.state_diff import Changes, diff
from commands.page.story import STORY, StoryStep
from commands.page.subscription import Subscription
from commands.page.topic import DeadLetterTopic
from commands.processes import Function, Sandbox, running_function, running_sandbox
from sandbox.documents import Documents
from sandbox.samples import DOCUMENTS, ENVIRONMENT, Sample, samples


@dataclass(frozen=True, slots=True)
class Banner:
    """What the page says at the top in place of the story's summary. `changes` are what a job changed in Klaviyo."""

    heading: str
    text: str
    lines: Sequence[str] = ()
    changes: Changes | None = None


class AppState:
    """The state behind the page, and the actions of its buttons. Created by `running_app`. A context manager.

    `steps_played` counts the story's steps. `shown` is the number of the delivery that the page selects by itself.
    """

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.samples: Mapping[str, Sample] = {sample.file.split("-", 1)[0]: sample for sample in samples()}
        self.settings = DEFAULT
        self.fault = ""
        self.banner: Banner | None = None
        self.steps_played = 0
        self.shown = 0
        self._settings_file = folder / "sync.toml"
        self._settings_file.write_text(with_short_pauses(DEFAULT), encoding="utf-8")
        self._environment = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": str(self._settings_file)}
        self.subscription = Subscription(sandbox, self._start_function)
        self._topic = DeadLetterTopic(self.subscription.record_dead_letter)

    def __enter__(self) -> Self:
        self._topic.__enter__()
        self.subscription.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.subscription.__exit__()
        self._topic.__exit__(None, None, None)

    @property
    def current_step(self) -> StoryStep | None:
        """The step of the story that was played last; None before the first."""
        return STORY[self.steps_played - 1] if self.steps_played else None

    @property
    def next_step(self) -> StoryStep | None:
        """The next step of the story; None at its end."""
        return STORY[self.steps_played] if self.steps_played < len(STORY) else None

    @property
    def progress(self) -> str:
        """How far the story is: `Step 3 of 12`."""
        return f"Step {self.steps_played} of {len(STORY)}"

    @property
    def is_failing(self) -> bool:
        """True if a failure is switched on that can still hit a call."""
        return faults.is_active(self.sandbox)

    @property
    def has_own_settings(self) -> bool:
        """True if the function runs with a pasted sync.toml."""
        return self.settings != DEFAULT

    def send(self, message: Message, times: int = 1) -> None:
        """Send a message and select it."""
        self.banner = Banner("You sent", f"{message.description.rstrip('.')}.")
        self.shown = self.subscription.send(message, times)

    def play_next_step(self) -> None:
        """Play the next step of the story. Does nothing at its end, or for a replay while there is no dead letter."""
        step = self.next_step
        if not step or (step.action == "replay" and not self.subscription.dead_letters):
            return
        self.steps_played += 1
        self.banner = None
        if step.fault:
            self.inject_fault(step.fault)
        elif self.is_failing:
            self.clear_fault()
        match step.action:
            case "clear_fault":
                self._deliver_all_now()
            case "replay":
                for delivery in self.subscription.dead_letters[:1]:
                    self.replay(delivery.number)
            case "":
                pass
            case job:
                self.run_job(job, self.progress)
        for number in step.samples:
            sent = self.subscription.send(Message.from_sample(self.samples[number]))
            self.shown = sent if number == step.shown else self.shown
        self.subscription.notify_change()

    def send_all(self) -> None:
        """Send every sample in order, and select the order of the story's first step. Ends the story."""
        text = "The story's first order is selected; the other messages are in the list."
        self.banner = Banner(f"You sent all {len(self.samples)} messages", text)
        self.steps_played = len(STORY)
        for number, sample in self.samples.items():
            sent = self.subscription.send(Message.from_sample(sample))
            self.shown = sent if number == STORY[0].shown else self.shown

    def replay(self, number: int) -> bool:
        """Replay a dead letter and select the new delivery; False if there is no such dead letter."""
        sent = self.subscription.replay(number)
        self.shown = sent or self.shown
        return bool(sent)

    def inject_fault(self, name: str) -> None:
        """Switch on a failure of the menu."""
        faults.inject(self.sandbox, faults.BY_NAME[name])
        self.fault = name
        self.subscription.notify_change()

    def clear_fault(self) -> None:
        """Make both backends work again."""
        faults.clear(self.sandbox)
        self.fault = ""
        self.subscription.notify_change()

    def use_settings(self, text: str) -> "Future[None]":
        """Restart the function with this sync.toml."""

        def use() -> None:
            self._settings_file.write_text(with_short_pauses(text), encoding="utf-8")
            self.settings = text
            self.subscription.restart()

        return self.subscription.submit(use)

    def run_job(self, name: str, heading: str = "") -> "Future[None]":
        """Run a job of the menu, and show its report under this heading; by default under the job's label."""
        job = JOBS[name]

        def run() -> None:
            if job.empties:
                self.sandbox.klaviyo.reset()
            before = self.sandbox.klaviyo.state()
            lines = job.run(self.sandbox, with_short_pauses(self.settings))
            changes = diff(before, self.sandbox.klaviyo.state())
            if job.restarts:
                self.subscription.restart()
            self.banner = Banner(heading or job.label, job.summary, lines, changes)

        return self.subscription.submit(run)

    def start_over(self) -> "Future[None]":
        """Reset everything (deliveries, Klaviyo, commercetools, settings, failures), then play the first step."""

        def start_over() -> None:
            documents = Documents()
            documents.load(DOCUMENTS)
            self.sandbox.commercetools.reset()
            self.sandbox.klaviyo.reset()
            self.sandbox.commercetools.put_all(
                {name: list(collection.values()) for name, collection in documents.collections.items()}
            )
            self._settings_file.write_text(with_short_pauses(DEFAULT), encoding="utf-8")
            self.settings, self.fault, self.banner = DEFAULT, "", None
            self.steps_played = self.shown = 0
            self.subscription.clear_history()
            self.subscription.restart()
            self.play_next_step()

        return self.subscription.submit(start_over)

    def _deliver_all_now(self) -> None:
        for delivery in self.subscription.deliveries:
            if delivery.is_waiting:
                self.shown = delivery.number if self.subscription.deliver_now(delivery.number) else self.shown

    @contextmanager
    def _start_function(self) -> Iterator[Function]:
        with running_function({**self._environment, **self._topic.environment}) as function:
            yield function


@contextmanager
def running_app() -> Iterator[AppState]:
    """The sandbox with the samples' documents, and the function; nothing is sent yet."""
    with (
        tempfile.TemporaryDirectory(prefix="page-") as folder,
        running_sandbox(DOCUMENTS) as sandbox,
        AppState(sandbox, Path(folder)) as app_state,
    ):
        yield app_state
