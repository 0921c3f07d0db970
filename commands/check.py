"""`manage.py check`: check everything the sync needs, and say how to fix what is missing."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import click

from clients.klaviyo_calls import KlaviyoCalls
from clients.retrying import message_budget
from commands import check_commercetools, check_consent
from commands.check_result import Finding
from commands.env_file import reads_env_file
from commands.environment import settings_or_exit
from commands.pubsub_names import TOPIC, PubSubName
from commands.subscription_api import PUBLISHER, Subscription, SubscriptionApi
from commands.subscription_plan import Scopes, Step, desired_subscriptions, plan
from core.errors import Refused, TryAgain
from core.settings import Settings

_PROBE = "manage-check"
"""A name that nothing has. Klaviyo answers a probe with 404 or 400 if the key may write, with 403 if it may not. Either
way nothing changes."""
_NO_PROFILE = "00000000000000000000000000"
"""A profile id that does not exist."""
_PUBSUB_TIMEOUT = 10
"""Seconds. Calls are not retried: the library mistakes expired credentials for an outage and keeps waiting."""
_FORBIDDEN = 403
_UNAUTHORIZED = 401

Probe = Callable[[KlaviyoCalls], object]
"""A call that a key without the scope may not make. It changes nothing."""

_KLAVIYO_SCOPES: dict[str, Probe] = {
    "profiles:read": lambda calls: calls.send("Profiles", "get_profiles", page_size=1),
    "profiles:write": lambda calls: calls.send(
        "Profiles", "update_profile", _NO_PROFILE, {"data": {"type": "profile", "id": _NO_PROFILE, "attributes": {}}}
    ),
    "events:write": lambda calls: calls.send("Events", "create_event", _event_without_profile()),
    "catalogs:read": lambda calls: calls.send("Catalogs", "get_catalog_categories"),
    "catalogs:write": lambda calls: calls.send("Catalogs", "delete_catalog_category", f"$custom:::$default:::{_PROBE}"),
    "data-privacy:write": lambda calls: calls.send(
        "Data_Privacy",
        "request_profile_deletion",
        {
            "data": {
                "type": "data-privacy-deletion-job",
                "attributes": {"profile": {"data": {"type": "profile", "id": _NO_PROFILE, "attributes": {}}}},
            }
        },
    ),
}

_BACKFILL_SCOPES: dict[str, Probe] = {
    "lists:read": lambda calls: calls.send("Profiles", "get_bulk_import_profiles_jobs", page_size=1),
    "lists:write": lambda calls: calls.send(
        "Profiles",
        "bulk_import_profiles",
        {"data": {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": []}}}},
    ),
    "accounts:read": lambda calls: calls.send("Accounts", "get_accounts"),
}
"""Scopes that a backfill also uses. It has a fallback for each that is missing: see _FALLBACKS."""

_LISTS_SCOPES = ("lists:read", "lists:write")
_ONE_BY_ONE = (
    "Optional: without it a backfill writes customers one by one instead of by bulk jobs, which took twelve times as"
    " long in our measurements."
)
_FALLBACKS = {
    **dict.fromkeys(_LISTS_SCOPES, _ONE_BY_ONE),
    "accounts:read": "Optional: without it the state file of a backfill belongs to this key, not to the account: after"
    " a change of the key a stopped run can't be resumed and needs --restart.",
}
"""What the fallback for a missing scope costs, for people."""

_CONSENT_SCOPES: dict[str, Probe] = {
    "lists:write": _BACKFILL_SCOPES["lists:write"],
    "subscriptions:write": lambda calls: calls.send(
        "Profiles",
        "bulk_subscribe_profiles",
        {"data": {"type": "profile-subscription-bulk-create-job", "attributes": {"profiles": {"data": []}}}},
    ),
}
"""Scopes that [consent] needs. Subscribing a profile takes both, so without the first the second probe fails too."""

_RECONCILE_SCOPES: dict[str, Probe] = {
    "metrics:read": lambda calls: calls.send("Metrics", "get_metrics"),
}
"""The scope that a comparison also needs, to count Placed Orders."""


@click.command(epilog="Example:  python3 manage.py check --topic projects/p/topics/t")
@reads_env_file
@click.option(
    "--topic", type=TOPIC, envvar="TOPIC", show_envvar=True, help="The topic that commercetools publishes to."
)
@click.option("--prefix", default="klaviyo-sync", show_default=True, help="Prefix of the subscriptions' keys.")
@click.option("--backfill", is_flag=True, help="Also check the Klaviyo scopes that a backfill can use.")
@click.option("--reconcile", is_flag=True, help="Also check the Klaviyo scope that reconcile uses.")
@click.option(
    "--find", "key", metavar="KEY", help="Only print the id of the channel, customer group or store with KEY."
)
def check(topic: PubSubName | None, prefix: str, key: str | None, *, backfill: bool, reconcile: bool) -> None:
    """Check everything that the sync needs.

    Run it before and after a deployment. It checks the environment, the scopes of the commercetools API client and of
    the Klaviyo key, the topics and the commercetools subscriptions, and says how to fix each problem. It changes
    nothing. Exits with 1 if a check failed.

    With --find it checks nothing. It prints the id to put into sync.toml, and its kind: channel, customer group or
    store. Exits with 1 unless exactly one resource has the key.
    """
    settings = settings_or_exit()
    if key:
        check_commercetools.find(settings, key)
        return
    failed = False
    required = _KLAVIYO_SCOPES | (_CONSENT_SCOPES if settings.sync.consent.is_on else {})
    required |= _RECONCILE_SCOPES if reconcile else {}
    optional = _optional_scopes(settings) if backfill else {}
    Finding("ok", f"environment: complete (project {settings.ct_project_id})").show()
    for part in (
        check_commercetools.findings(settings),
        _klaviyo_findings(settings, required | optional, required),
        check_consent.findings(settings),
        _pubsub_findings(topic, settings.dead_letter_topic),
        _subscription_findings(settings, topic, prefix),
    ):
        for finding in part:
            finding.show()
            failed = failed or finding.state == "failed"
    if failed:
        raise click.ClickException("Some checks failed. The line below each FAILED says what to do.")


def _optional_scopes(settings: Settings) -> dict[str, Probe]:
    """The scopes that a backfill uses with these settings; without bulk jobs it needs no lists."""
    unused = _LISTS_SCOPES if settings.sync.backfill.profiles == "single" else ()
    return {scope: probe for scope, probe in _BACKFILL_SCOPES.items() if scope not in unused}


def _klaviyo_findings(settings: Settings, scopes: Mapping[str, Probe], required: Collection[str]) -> Iterator[Finding]:
    """A finding for each scope. A missing one that is not required is a warning that says what the fallback costs."""
    calls = KlaviyoCalls(settings)
    try:
        for scope, probe in scopes.items():
            what = f"Klaviyo: the key has the scope {scope}"
            with message_budget(settings.sync.limits):
                try:
                    probe(calls)
                except Refused:  # for the probe's content, so the key has the scope
                    yield Finding("ok", what)
                except TryAgain as error:
                    if error.status == _FORBIDDEN:
                        yield _missing_scope(scope, is_required=scope in required)
                        continue
                    if error.status == _UNAUTHORIZED:
                        yield Finding("failed", what, "Klaviyo rejects the key: check KLAVIYO_AUTH_KEY.")
                    else:
                        yield Finding("failed", what, f"Klaviyo does not answer ({error}).")
                    return
                else:
                    yield Finding("ok", what)
    finally:
        calls.close()


def _missing_scope(scope: str, *, is_required: bool) -> Finding:
    what = f"Klaviyo: the key lacks the scope {scope}"
    advice = "Create a private key with this scope and set KLAVIYO_AUTH_KEY to it."
    return Finding("failed", what, advice) if is_required else Finding("warning", what, f"{_FALLBACKS[scope]} {advice}")


def _event_without_profile() -> dict[str, object]:
    """An event without a profile identifier: Klaviyo refuses it with 400 if the key may send events."""
    profile = {"data": {"type": "profile", "attributes": {}}}
    metric = {"data": {"type": "metric", "attributes": {"name": _PROBE}}}
    return {"data": {"type": "event", "attributes": {"properties": {}, "metric": metric, "profile": profile}}}


def _pubsub_findings(topic: str | None, dead_letter_topic: str | None) -> Iterator[Finding]:
    if not topic:
        yield Finding("unknown", "Pub/Sub: the topic", "To check it, name it with --topic projects/P/topics/T.")
    else:
        yield from _topic_findings(topic, publisher=PUBLISHER)
    if not dead_letter_topic:
        yield Finding(
            "unknown",
            "Pub/Sub: DEAD_LETTER_TOPIC is not set",
            "A message that can't be synced is redelivered until the subscription's own dead-letter policy takes it.",
        )
    else:
        yield from _topic_findings(dead_letter_topic, needs_subscription=True)


def _topic_findings(name: str, *, publisher: str = "", needs_subscription: bool = False) -> Iterator[Finding]:
    from google.api_core import exceptions  # noqa: PLC0415 - takes a second to import
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415

    what = f"Pub/Sub: {name}"
    try:
        client = PublisherClient()
        client.get_topic(topic=name, timeout=_PUBSUB_TIMEOUT, retry=None)
        yield Finding("ok", f"{what} exists")
        if needs_subscription:
            subscriptions = list(client.list_topic_subscriptions(topic=name, timeout=_PUBSUB_TIMEOUT, retry=None))
            if subscriptions:
                yield Finding("ok", f"{what} has a subscription that keeps the dead letters")
            else:
                yield Finding("failed", f"{what} has no subscription", "Create one: until then dead letters are lost.")
        if publisher:
            yield _publish_permission(client, name, publisher)
    except exceptions.NotFound:
        yield Finding("failed", f"{what} does not exist", "Create it with terraform/ or deploy.sh.")
    except (exceptions.PermissionDenied, GoogleAuthError) as error:
        yield Finding(
            "unknown",
            what,
            f"You have no access to it ({type(error).__name__}). Log in as somebody who has:"
            " gcloud auth application-default login",
        )
    except exceptions.GoogleAPIError as error:
        yield Finding("failed", what, f"Pub/Sub does not answer ({type(error).__name__}).")


def _publish_permission(client: object, topic: str, publisher: str) -> Finding:
    from google.api_core import exceptions  # noqa: PLC0415

    what = f"Pub/Sub: commercetools may publish to {topic}"
    try:
        policy = client.get_iam_policy(request={"resource": topic}, timeout=_PUBSUB_TIMEOUT, retry=None)  # type: ignore[attr-defined]
    except (exceptions.MethodNotImplemented, exceptions.PermissionDenied) as error:
        return Finding("unknown", what, f"The topic's IAM policy can't be read ({type(error).__name__}).")
    roles = ("roles/pubsub.publisher", "roles/pubsub.editor", "roles/pubsub.admin")
    if any(binding.role in roles and publisher in binding.members for binding in policy.bindings):
        return Finding("ok", what)
    grant = f"Run: gcloud pubsub topics add-iam-policy-binding {topic} --role={roles[0]} --member={publisher}"
    return Finding("failed", f"Pub/Sub: commercetools may not publish to {topic}", grant)


def _subscription_findings(settings: Settings, topic: PubSubName | None, prefix: str) -> Iterator[Finding]:
    api = SubscriptionApi(settings)
    try:
        current = api.all()
    except click.ClickException as error:
        yield Finding("unknown", "commercetools: subscriptions", error.message)
        return
    finally:
        api.close()
    with_all_scopes = {step.key: step for step in _steps(current, settings, topic, prefix, scopes=None)}
    for step in _steps(current, settings, topic, prefix, scopes=settings.scopes):
        yield from _step_findings(_tolerant(step, with_all_scopes.get(step.key)), topic)


def _steps(
    current: Sequence[Subscription], settings: Settings, topic: PubSubName | None, prefix: str, *, scopes: Scopes
) -> list[Step]:
    project, short = (topic.project, topic.short) if topic else ("", "")
    drafts = desired_subscriptions(prefix, project, short, settings.sync, scopes)
    if not topic:  # don't compare destinations
        by_key = {one.get("key"): one for one in current}
        drafts = [{**draft, "destination": by_key.get(draft["key"], draft)["destination"]} for draft in drafts]
    return plan(current, drafts, prefix)


def _tolerant(step: Step, with_all_scopes: Step | None) -> Step:
    """The step without removals of messages that only a missing scope switches off: the function ignores those."""
    if step.kind != "update" or not with_all_scopes:
        return step
    needed = [line for line in step.differences if line.startswith("+ ") or line in with_all_scopes.differences]
    return replace(step, differences=needed) if needed else replace(step, kind="keep", differences=())


def _step_findings(step: Step, topic: str | None) -> Iterator[Finding]:
    what = f"commercetools: subscription {step.key}"
    apply = (
        f"Run: python3 manage.py subscriptions apply --topic {topic or 'projects/P/topics/T'}. With Terraform:"
        " python3 manage.py subscriptions plan --tfvars, then terraform apply."
    )
    if step.kind == "create":
        # Without --topic this is no failure: commands can work on real accounts before anything is deployed.
        yield Finding("failed" if topic else "unknown", f"{what} does not exist", apply)
        return
    status = step.current.get("status", "unknown")
    if status == "Healthy":
        yield Finding("ok", f"{what} is healthy")
    else:
        advice = "Fix the topic or its permissions. If delivery has stopped, delete and re-create the subscription."
        yield Finding("failed", f"{what}: {status}", advice)
    match step.kind:
        case "keep":
            yield Finding("ok", f"{what} delivers the messages that the sync consumes")
        case "delete":
            yield Finding("failed", f"{what} delivers messages that sync.toml switches off", apply)
        case "update":
            yield Finding("failed", f"{what} differs: {', '.join(step.differences)}", apply)
