"""Services that read both backends and write nothing: for a look at what would happen."""

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
    """In place of the dead-letter topic: a letter would be published."""

    def publish(self, *_: object, **__: object) -> None:
        """Nothing is published."""

    def close(self) -> None:
        """Nothing is open."""


def describe_backends(documents: Path | None = None) -> str:
    """What `dry_run_services` reads."""
    if _has_shop(documents):
        shop = f"commercetools: project {os.environ.get('CT_PROJECT_ID')} at {os.environ['CT_API_URL']}"
    else:
        shop = f"commercetools: the documents in {os.path.relpath(documents or DOCUMENTS)}"
    return f"{shop}; Klaviyo: {'the account of KLAVIYO_AUTH_KEY' if _has_klaviyo() else 'taken to be empty'}"


@contextmanager
def dry_run_services(
    documents: Path | None = None, settings: Settings | None = None
) -> Iterator[tuple[Services, RecordingKlaviyo]]:
    """Services that write nothing: backends from the environment, stand-ins for those it does not name.

    `settings` are those of the environment, where the caller has read them already (and was told what is odd).
    """
    with ExitStack() as stack:
        stack.enter_context(log_on_stderr())
        real_shop, real_klaviyo = _has_shop(documents), _has_klaviyo()
        stack.callback(_restore, dict(os.environ))
        if not (real_shop and real_klaviyo):
            running = stack.enter_context(sandbox.start(documents=documents or DOCUMENTS))
            stand_in = sandbox_environment(running.commercetools.url, running.klaviyo.url)
            for name, value in {**stand_in, **ENVIRONMENT}.items():
                is_klaviyo, is_shop = name.startswith("KLAVIYO_"), name.startswith("CT_")
                if not (is_klaviyo and real_klaviyo) and not (is_shop and real_shop):
                    os.environ[name] = value if is_klaviyo or is_shop else os.environ.get(name) or value
        settings = settings or settings_or_exit()
        calls = RecordingKlaviyo(settings)
        services = Services(settings, calls)
        services.dead_letters = NullDeadLetters()  # type: ignore[assignment] # the same two methods
        stack.callback(services.close)
        yield services, calls


def _has_shop(documents: Path | None) -> bool:
    return bool(os.environ.get("CT_API_URL")) and documents is None


def _has_klaviyo() -> bool:
    return bool(os.environ.get("KLAVIYO_AUTH_KEY"))


def _restore(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
