"""`manage.py emulator`: run the function behind the Pub/Sub emulator."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from commands.emulator import Emulator, EmulatorError, running_emulator
from commands.processes import NO_PUSH_AUTH, Function, running_function, running_sandbox
from commands.reason_words import with_words
from sandbox.samples import DOCUMENTS, ENVIRONMENT

_TOPIC, _PUSH = "commercetools", "klaviyo-sync"
_DEAD_LETTER_TOPIC, _DEAD_LETTER_SUBSCRIPTION = "dead-letters", "dead-letters-kept"
_ATTEMPTS = 5
_HOW_TO_INSTALL = """The Pub/Sub emulator can't be started: {why}.
It is part of gcloud (https://cloud.google.com/sdk/docs/install) and needs Java 11 or newer:
  gcloud components install pubsub-emulator      (gcloud from its installer)
  apt-get install google-cloud-cli-pubsub-emulator   (gcloud from Google's apt repository)
Without the emulator, `make demo` sends every sample as a Pub/Sub push, with nothing to install."""


@click.command(epilog="Example:  python3 manage.py emulator")
@click.option(
    "--target",
    type=click.Choice(["sync_push", "sync_event"]),
    default="sync_push",
    show_default=True,
    help="Entry point to run.",
)
def emulator(target: str) -> None:
    """Run the function behind the Pub/Sub emulator, until Ctrl-C.

    Creates a topic, a push subscription with a dead-letter policy, and a dead-letter topic with a subscription, then
    shows the outcome of each message. Uses the accounts in the environment if CT_API_URL is set, else the sandbox with
    the samples' documents.
    """
    try:
        with running_emulator() as pubsub, _backends() as environment:
            _run(pubsub, environment, target)
    except EmulatorError as error:
        raise click.ClickException(_HOW_TO_INSTALL.format(why=error)) from None
    except KeyboardInterrupt:
        click.echo("\nStopped.")


@contextmanager
def _backends() -> Iterator[dict[str, str]]:
    if os.environ.get("CT_API_URL"):
        yield {}
        return
    with running_sandbox(DOCUMENTS) as sandbox:
        yield {**sandbox.environment, **ENVIRONMENT}


def _run(pubsub: Emulator, environment: dict[str, str], target: str) -> None:
    topic, dead = pubsub.create_topic(_TOPIC), pubsub.create_topic(_DEAD_LETTER_TOPIC)
    subscription = pubsub.create_subscription(_DEAD_LETTER_SUBSCRIPTION, _DEAD_LETTER_TOPIC)
    function_environment = {**environment, **NO_PUSH_AUTH, **pubsub.environment, "DEAD_LETTER_TOPIC": dead}
    with running_function(function_environment, target) as function:
        endpoint = f"{function.url}/{topic}"
        pubsub.create_subscription(
            _PUSH, _TOPIC, push_to=endpoint, dead_letters_to=_DEAD_LETTER_TOPIC, attempts=_ATTEMPTS
        )
        click.echo(f"Messages of {topic} are pushed to {function.url} ({target}). In another terminal:\n")
        click.echo(f"  export PUBSUB_EMULATOR_HOST={pubsub.host}")
        click.echo(f"  python3 manage.py send samples/13-customer-created.json --topic {topic}")
        click.echo(f"  python3 manage.py dead-letters list --subscription {subscription}\n")
        click.echo("Press Ctrl-C to stop. Outcomes:")
        _follow(function)


def _follow(function: Function) -> None:
    """Print outcomes, warnings and errors from the function's log until it ends."""
    shown = 0
    while function.process.poll() is None:
        for line in function.lines[shown:]:
            shown += 1
            if "outcome" not in line and line.get("severity") == "INFO":
                continue
            click.echo(f"  {with_words(line.get('message', ''))}  {line.get('resource', '')}")
        time.sleep(0.1)
    raise click.ClickException("The function has stopped:\n" + "".join(function.errors))
