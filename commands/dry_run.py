"""Services that read both backends and write nothing, to show what would happen."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sandbox
from commands.environment import settings_or_exit
from commands.klaviyo_recorder import RecordingKlaviyo
from commands.output import log_on_stderr
from commands.processes import sandbox_environment
from core.settings import Settings
from handlers.services import Services
from sandbox.samples import DOCUMENTS, ENVIRONMENT


class NullDeadLetters:
    """Stands in for the dead-letter topic and discards what is published."""

    def publish(self, *_: object, **__: object) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def describe_backends(documents: Path | None = None) -> str:
    """What `dry_run_services` reads, in words."""
    if _has_commercetools(documents):
        shop = f"commercetools: project {os.environ.get('CT_PROJECT_ID')} at {os.environ['CT_API_URL']}"
    else:
        shop = f"commercetools: the documents in {os.path.relpath(documents or DOCUMENTS)}"
    return f"{shop}; Klaviyo: {'the account of KLAVIYO_AUTH_KEY' if _has_klaviyo() else 'assumed to be empty'}"


@contextmanager
def dry_run_services(
    documents: Path | None = None, settings: Settings | None = None
) -> Iterator[tuple[Services, RecordingKlaviyo]]:
    """Services that write nothing, and the recorder of what they would have written.

    They read the backends that the environment names, and a sandbox in place of each that it does not. Pass `settings`
    if they have been loaded already, so that their warnings are printed only once.
    """
    with ExitStack() as stack:
        stack.enter_context(log_on_stderr())
        real_commercetools, real_klaviyo = _has_commercetools(documents), _has_klaviyo()
        stack.callback(_restore_environment, dict(os.environ))
        if not (real_commercetools and real_klaviyo):
            running = stack.enter_context(sandbox.start(documents=documents or DOCUMENTS))
            stand_in = sandbox_environment(running.commercetools.url, running.klaviyo.url)
            for name, value in {**stand_in, **ENVIRONMENT}.items():
                is_klaviyo, is_commercetools = name.startswith("KLAVIYO_"), name.startswith("CT_")
                if not (is_klaviyo and real_klaviyo) and not (is_commercetools and real_commercetools):
                    os.environ[name] = value if is_klaviyo or is_commercetools else os.environ.get(name) or value
        settings = settings or settings_or_exit()
        calls = RecordingKlaviyo(settings)
        services = Services(settings, calls)
        services.dead_letters = NullDeadLetters()  # type: ignore[assignment] # the same two methods
        stack.callback(services.close)
        yield services, calls


def _has_commercetools(documents: Path | None) -> bool:
    return bool(os.environ.get("CT_API_URL")) and documents is None


def _has_klaviyo() -> bool:
    return bool(os.environ.get("KLAVIYO_AUTH_KEY"))


def _restore_environment(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
