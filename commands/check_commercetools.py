"""Checks of commercetools for `manage.py check`: scopes, workflow states, the catalog model, and ids by key."""

from collections.abc import Iterator
from dataclasses import dataclass

import click

from clients.commercetools import Commercetools
from clients.retrying import message_budget
from commands.check_result import Finding
from core.conditions import Condition, setting
from core.errors import SyncError, TryAgain
from core.rules import SyncRules
from core.settings import Settings, includes_scope
from mappers.properties import selected

_FORBIDDEN = 403


def _sends_groups(rules: SyncRules) -> bool:
    groups = dict.fromkeys(("customerGroup", "customerGroupAssignments"), "any")
    return bool(selected(groups, rules.customer.properties))


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope, and the collection whose read shows whether the API client has it.

    `purpose` is set for an optional scope: what it is for. `when` is the condition under which the settings use it;
    None if it is used whenever the shop has such resources.
    """

    name: str
    collection: str
    purpose: str = ""
    when: Condition | None = None

    @property
    def is_optional(self) -> bool:
        """True if the sync works without it and leaves out what it can't read."""
        return bool(self.purpose)


SCOPES = (
    Scope("view_customers", "customers"),
    Scope("view_orders", "orders"),
    Scope("view_payments", "payments"),
    Scope("view_products", "categories"),
    Scope("view_products", "inventory"),
    Scope("view_published_products", "product-projections"),
    Scope(
        "view_standalone_prices",
        "standalone-prices",
        "for products in the price mode Standalone, which have no price without it",
        when=setting("price.standalone"),
    ),
    Scope("view_discount_codes", "discount-codes", "for the discount codes of orders, which are left out without it"),
    Scope(
        "view_customer_groups",
        "customer-groups",
        "for customers' groups, which are left out without it",
        when=Condition("[customer.properties] customerGroup", _sends_groups),
    ),
    Scope(
        "view_states",
        "states",
        "for the workflow states of orders, whose messages are not consumed without it",
        when=setting("order.transitions"),
    ),
)
"""Every scope that the function uses. Tests check README, deploy.sh and Terraform against this list."""

_KINDS = {
    "channel": ("channels", "view_products or view_channels"),
    "customer group": ("customer-groups", "view_customer_groups"),
    "store": ("stores", "view_stores"),
}
"""Kinds of resource that sync.toml names by id or key: their collection, and the scopes that can read it."""


def findings(settings: Settings) -> Iterator[Finding]:
    """Findings on scopes, workflow states and the catalog model. Stops early if commercetools does not answer."""
    client = Commercetools(settings)
    try:
        for scope in SCOPES:
            what = f"commercetools: {scope.collection.replace('-', ' ')} can be read ({scope.name})"
            try:
                with message_budget(settings.sync.limits):
                    client.probe(scope.collection)
            except TryAgain as error:
                if error.status == _FORBIDDEN:
                    yield _scope_missing(scope, settings)
                    continue
                yield _no_answer(error, what)
                return
            except SyncError as error:
                yield Finding("failed", what, f"commercetools answers {error.reason}: check CT_PROJECT_ID.")
                return
            else:
                yield _scope_granted(scope, what, settings)
        yield from _transition_findings(client, settings)
        yield _catalog_model_finding(client, settings)
    finally:
        client.close()


def _scope_granted(scope: Scope, what: str, settings: Settings) -> Finding:
    if scope.is_optional or includes_scope(settings.scopes, scope.name):
        return Finding("ok", what, _need(scope, settings))
    return Finding(
        "warning",
        what,
        f"It can be read, but CT_SCOPE does not name {scope.name}, which commercetools' documentation requires."
        " Create an API client that has the scope, then add it to CT_SCOPE.",
    )


def _scope_missing(scope: Scope, settings: Settings) -> Finding:
    what = f"commercetools: {scope.collection.replace('-', ' ')} can't be read ({scope.name})"
    advice = (
        f"The API client lacks {scope.name}:{settings.ct_project_id}, or CT_SCOPE does not name it. Create an API"
        " client that has the scope, then add it to CT_SCOPE."
    )
    if not scope.is_optional:
        return Finding("failed", what, advice)
    needed = scope.when is not None and scope.when.holds(settings.sync)
    return Finding("warning" if needed else "unknown", what, f"{_need(scope, settings)} {advice}")


def _need(scope: Scope, settings: Settings) -> str:
    """What an optional scope is for, and whether the settings need it; empty for a required one."""
    if not scope.is_optional:
        return ""
    if scope.when is None:
        needed = "Needed if the shop has any."
    elif scope.when.holds(settings.sync):
        needed = f"Your settings need it ({scope.when.name})."
    else:
        needed = f"Your settings do not need it ({scope.when.name} is off)."
    return f"Optional, {scope.purpose}. {needed}"


def _no_answer(error: TryAgain, what: str) -> Finding:
    if error.is_denied:
        return Finding(
            "failed",
            what,
            "commercetools issues no token: check CT_API_CLIENT, CT_AUTH_URL and every scope in CT_SCOPE.",
        )
    return Finding("failed", what, f"commercetools does not answer ({error}): check CT_API_URL and CT_AUTH_URL.")


def _transition_findings(client: Commercetools, settings: Settings) -> Iterator[Finding]:
    """Check that each key in `[order] transitions` is that of a state orders can have."""
    for key, metric in settings.sync.order.transitions.items():
        what = f"commercetools: the workflow state {key} of [order] transitions"
        try:
            with message_budget(settings.sync.limits):
                state = client.with_key("states", key)
        except SyncError as error:
            if error.status == _FORBIDDEN:  # the finding on the scope says what to do
                return
            yield Finding("unknown", what, f"It can't be looked up ({error}).")
            continue
        kind = state.get("type") if state else None
        if kind == "OrderState":
            yield Finding("ok", f"{what} exists")
        elif state:
            yield Finding(
                "warning",
                f"{what} has type {kind}",
                f"Orders never have it, so no {metric} is sent. Use the key of an OrderState.",
            )
        else:
            yield Finding(
                "warning", f"{what} does not exist", f"No {metric} is sent. Correct the key, or create the state."
            )


def _catalog_model_finding(client: Commercetools, settings: Settings) -> Finding:
    """Check that products contain their variants: by the project's settings, else by a product."""
    model = _project_catalog_model(client, settings) or _product_catalog_model(client, settings)
    match model:
        case "Classic":
            return Finding("ok", "commercetools: products contain their variants (catalog model Classic)")
        case "InMigration":
            return Finding(
                "warning",
                "commercetools: the project is migrating to the catalog model Modular (InMigration)",
                "Products still contain their variants, so everything is synced. This package does not read variants of"
                " the model Modular: once the migration ends, variants, prices and stock are no longer synced.",
            )
        case None:
            return Finding(
                "unknown",
                "commercetools: the catalog model",
                "The project's settings can't be read (view_project_settings), and no published product shows it.",
            )
    return Finding(
        "warning",
        f"commercetools: the project has the catalog model {model}",
        "Its variants are separate resources, which this package does not read: items go to Klaviyo without variants,"
        " prices and stock.",
    )


def _project_catalog_model(client: Commercetools, settings: Settings) -> str | None:
    """The catalog model from the project's settings; None if they can't be read, as few API clients may."""
    try:
        with message_budget(settings.sync.limits):
            project = client.project()
    except SyncError:
        return None
    return str(project.get("productCatalogModel") or "Classic") if project else None


def _product_catalog_model(client: Commercetools, settings: Settings) -> str | None:
    """The catalog model, by any published product: in Modular projects it has no master variant. None if unknown."""
    try:
        with message_budget(settings.sync.limits):
            product = client.probe("product-projections")
    except SyncError:
        return None
    if product is None:
        return None
    return "Classic" if product.get("masterVariant") else "Modular"


def find(settings: Settings, key: str) -> None:
    """Print id and kind of the channel, customer group or store with this key, separated by a tab.

    Names on stderr the kinds that the API client may not read. Raises click.ClickException if none or several have the
    key, or if commercetools does not answer.
    """
    client = Commercetools(settings)
    found: list[str] = []
    try:
        for kind, (collection, scope) in _KINDS.items():
            try:
                with message_budget(settings.sync.limits):
                    document = client.with_key(collection, key)
            except SyncError as error:
                if error.status != _FORBIDDEN:
                    raise click.ClickException(
                        f"Can't look for a {kind} ({error}). Next: python3 manage.py check"
                    ) from None
                click.echo(f"Did not look for a {kind}: CT_SCOPE lacks {scope}.", err=True)
            else:
                found += [f"{document['id']}\t{kind}"] if document else []
    finally:
        client.close()
    if not found:
        raise click.ClickException(f"Found no {', no '.join(_KINDS)} with the key {key}.")
    if len(found) > 1:
        raise click.ClickException(
            "\n  ".join([f"Several resources have the key {key}. Use the id of the one you mean:", *found])
        )
    click.echo(found[0])
