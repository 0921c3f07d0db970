"""`manage.py check`: is everything there that the sync needs, and what to do about what is not."""

from collections.abc import Callable, Iterator, Mapping

import click

from clients.klaviyo_calls import KlaviyoCalls
from clients.retrying import message_budget
from commands import check_commercetools, check_consent
from commands.check_result import Finding
from commands.env_file import reads_env_file
from commands.environment import settings_or_exit
from commands.pubsub_names import TOPIC, PubSubName
from commands.subscription_api import PUBLISHER, SubscriptionApi
from commands.subscription_plan import Step, desired_subscriptions, plan
from core.errors import Refused, TryAgain
from core.settings import Settings

_PROBE = "manage-check"
"""Names what does not exist: Klaviyo answers 404 or 400 to who may write, 403 to who may not; nothing changes."""
_NOBODY = "00000000000000000000000000"
_SECONDS = 10
"""For a call to Pub/Sub, which is not repeated: the library would take expired credentials for an outage, and wait."""
_FORBIDDEN = 403
_UNAUTHORIZED = 401

_KLAVIYO_SCOPES: dict[str, Callable[[KlaviyoCalls], object]] = {
    "profiles:read": lambda calls: calls.send("Profiles", "get_profiles", page_size=1),
    "profiles:write": lambda calls: calls.send(
        "Profiles", "update_profile", _NOBODY, {"data": {"type": "profile", "id": _NOBODY, "attributes": {}}}
    ),
    "events:write": lambda calls: calls.send("Events", "create_event", _nobodys_event()),
    "catalogs:read": lambda calls: calls.send("Catalogs", "get_catalog_categories"),
    "catalogs:write": lambda calls: calls.send("Catalogs", "delete_catalog_category", f"$custom:::$default:::{_PROBE}"),
    "data-privacy:write": lambda calls: calls.send(
        "Data_Privacy",
        "request_profile_deletion",
        {
            "data": {
                "type": "data-privacy-deletion-job",
                "attributes": {"profile": {"data": {"type": "profile", "id": _NOBODY, "attributes": {}}}},
            }
        },
    ),
}

_BACKFILL_SCOPES: dict[str, Callable[[KlaviyoCalls], object]] = {
    "lists:read": lambda calls: calls.send("Profiles", "get_bulk_import_profiles_jobs", page_size=1),
    "lists:write": lambda calls: calls.send(
        "Profiles",
        "bulk_import_profiles",
        {"data": {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": []}}}},
    ),
    "accounts:read": lambda calls: calls.send("Accounts", "get_accounts"),
}
"""What a backfill has besides; without it, it goes another way."""

_CONSENT_SCOPES: dict[str, Callable[[KlaviyoCalls], object]] = {
    "lists:write": _BACKFILL_SCOPES["lists:write"],
    "subscriptions:write": lambda calls: calls.send(
        "Profiles",
        "bulk_subscribe_profiles",
        {"data": {"type": "profile-subscription-bulk-create-job", "attributes": {"profiles": {"data": []}}}},
    ),
}
"""What [consent] needs. Klaviyo asks for both of who subscribes somebody, so without the first the second fails too."""

_RECONCILE_SCOPES: dict[str, Callable[[KlaviyoCalls], object]] = {
    "metrics:read": lambda calls: calls.send("Metrics", "get_metrics"),
}
"""What a comparison needs besides, to count Placed Orders."""


@click.command(epilog="Example:  python3 manage.py check --topic projects/my-project/topics/commercetools")
@reads_env_file
@click.option("--topic", type=TOPIC, envvar="TOPIC", show_envvar=True, help="The topic commercetools publishes to.")
@click.option("--prefix", default="klaviyo-sync", show_default=True, help="What the subscriptions' keys begin with.")
@click.option("--backfill", is_flag=True, help="Check the Klaviyo scopes of a backfill too.")
@click.option("--reconcile", is_flag=True, help="Check the Klaviyo scope of a comparison too.")
@click.option("--find", "key", metavar="KEY", help="Print the id of the channel, group or store with KEY instead.")
def check(topic: PubSubName | None, prefix: str, key: str | None, *, backfill: bool, reconcile: bool) -> None:
    """Say, line by line, whether the sync has all it needs, before and after a deployment.

    Looks at the environment, at commercetools and each scope of its API client, at Klaviyo and each scope of its key,
    at the topics, and at the commercetools subscriptions. Changes nothing. Exits with 1 if anything failed.

    With --find nothing is checked: it prints the id that sync.toml asks for, and what it belongs to. Exits with 1
    unless exactly one channel, customer group or store has the key.
    """
    settings = settings_or_exit()
    if key:
        check_commercetools.find(settings, key)
        return
    failed = False
    scopes = _KLAVIYO_SCOPES | (_CONSENT_SCOPES if settings.sync.consent.is_on else {})
    scopes |= (_BACKFILL_SCOPES if backfill else {}) | (_RECONCILE_SCOPES if reconcile else {})
    Finding("ok", f"environment: complete (project {settings.ct_project_id}, keys masked)").say()
    for part in (
        check_commercetools.findings(settings),
        _klaviyo(settings, scopes),
        check_consent.findings(settings),
        _topics(topic, settings.dead_letter_topic),
        _subscriptions(settings, topic, prefix),
    ):
        for finding in part:
            finding.say()
            failed = failed or finding.state == "failed"
    if failed:
        raise click.ClickException("Not everything is there yet; each line says what to do.")


def _klaviyo(settings: Settings, scopes: Mapping[str, Callable[[KlaviyoCalls], object]]) -> Iterator[Finding]:
    calls = KlaviyoCalls(settings)
    try:
        for scope, probe in scopes.items():
            what = f"Klaviyo: the key has the scope {scope}"
            with message_budget(settings.sync.limits):
                try:
                    probe(calls)
                except Refused:  # the content, not the key: the scope is there
                    yield Finding("ok", what)
                except TryAgain as error:
                    if error.status == _FORBIDDEN:
                        yield Finding("failed", what, "Make a private key with this scope, and set KLAVIYO_AUTH_KEY.")
                        continue
                    if error.status == _UNAUTHORIZED:
                        yield Finding("failed", what, "Klaviyo does not know the key: check KLAVIYO_AUTH_KEY.")
                    else:
                        yield Finding("failed", what, f"Klaviyo does not answer ({error}).")
                    return
                else:
                    yield Finding("ok", what)
    finally:
        calls.close()


def _nobodys_event() -> dict[str, object]:
    """An event without anyone to belong to: refused for that, by whoever may send events."""
    profile = {"data": {"type": "profile", "attributes": {}}}
    metric = {"data": {"type": "metric", "attributes": {"name": _PROBE}}}
    return {"data": {"type": "event", "attributes": {"properties": {}, "metric": metric, "profile": profile}}}


def _topics(topic: str | None, dead_letter_topic: str | None) -> Iterator[Finding]:
    if not topic:
        yield Finding("unknown", "Pub/Sub: the topic", "Name it with --topic projects/P/topics/T to have it checked.")
    else:
        yield from _topic(topic, publisher=PUBLISHER)
    if not dead_letter_topic:
        yield Finding(
            "unknown",
            "Pub/Sub: no DEAD_LETTER_TOPIC",
            "What can't be synced is redelivered until the subscription's own dead-letter policy takes it.",
        )
    else:
        yield from _topic(dead_letter_topic, needs_subscription=True)


def _topic(name: str, *, publisher: str = "", needs_subscription: bool = False) -> Iterator[Finding]:
    from google.api_core import exceptions  # noqa: PLC0415 - a second to import, for whom it concerns
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415

    what = f"Pub/Sub: {name}"
    try:
        client = PublisherClient()
        client.get_topic(topic=name, timeout=_SECONDS, retry=None)
        yield Finding("ok", f"{what} is there")
        if needs_subscription:
            kept = list(client.list_topic_subscriptions(topic=name, timeout=_SECONDS, retry=None))
            if kept:
                yield Finding("ok", f"{what} has a subscription that keeps the letters")
            else:
                yield Finding("failed", f"{what} has no subscription", "Make one, or its letters vanish.")
        if publisher:
            yield _publish_right(client, name, publisher)
    except exceptions.NotFound:
        yield Finding("failed", f"{what} is not there", "Make it with terraform/ or deploy.sh.")
    except (exceptions.PermissionDenied, GoogleAuthError) as error:
        yield Finding(
            "unknown", what, f"You may not look at it ({type(error).__name__}): gcloud auth application-default login."
        )
    except exceptions.GoogleAPIError as error:
        yield Finding("failed", what, f"Pub/Sub does not answer ({type(error).__name__}).")


def _publish_right(client: object, topic: str, publisher: str) -> Finding:
    from google.api_core import exceptions  # noqa: PLC0415

    what = f"Pub/Sub: commercetools may publish to {topic}"
    try:
        policy = client.get_iam_policy(request={"resource": topic}, timeout=_SECONDS, retry=None)  # type: ignore[attr-defined]
    except (exceptions.MethodNotImplemented, exceptions.PermissionDenied) as error:
        return Finding("unknown", what, f"The rights can't be read here ({type(error).__name__}).")
    roles = ("roles/pubsub.publisher", "roles/pubsub.editor", "roles/pubsub.admin")
    if any(binding.role in roles and publisher in binding.members for binding in policy.bindings):
        return Finding("ok", what)
    grant = f"gcloud pubsub topics add-iam-policy-binding {topic} --role={roles[0]} --member={publisher}"
    return Finding("failed", what, grant)


def _subscriptions(settings: Settings, topic: PubSubName | None, prefix: str) -> Iterator[Finding]:
    api = SubscriptionApi(settings)
    try:
        current = api.all()
    except click.ClickException as error:
        yield Finding("unknown", "commercetools: subscriptions", error.message)
        return
    finally:
        api.close()
    project, short = (topic.project, topic.short) if topic else ("", "")
    drafts = desired_subscriptions(prefix, project, short, settings.sync, settings.scopes)
    if not topic:  # whatever it is, it is not asked
        by_key = {one.get("key"): one for one in current}
        drafts = [{**draft, "destination": by_key.get(draft["key"], draft)["destination"]} for draft in drafts]
    for step in plan(current, drafts, prefix):
        yield from _subscription(step, topic)


def _subscription(step: Step, topic: str | None) -> Iterator[Finding]:
    what = f"commercetools: subscription {step.key}"
    apply = (
        f"python3 manage.py subscriptions apply --topic {topic or 'projects/P/topics/T'}. With Terraform:"
        " python3 manage.py subscriptions plan --tfvars, then terraform apply."
    )
    if step.kind == "create":
        # Without a topic nothing may be deployed yet: one can work on real accounts from here all the same.
        yield Finding("failed" if topic else "unknown", f"{what} is not there", apply)
        return
    status = step.current.get("status", "unknown")
    if status == "Healthy":
        yield Finding("ok", f"{what} is healthy")
    else:
        advice = "Mend the topic or its rights; if delivery has stopped, make the subscription anew."
        yield Finding("failed", f"{what}: {status}", advice)
    match step.kind:
        case "keep":
            yield Finding("ok", f"{what} delivers what is consumed")
        case "delete":
            yield Finding("failed", f"{what} delivers what sync.toml switches off", apply)
        case "update":
            yield Finding("failed", f"{what} differs: {', '.join(step.differences)}", apply)
