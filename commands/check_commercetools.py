"""What `manage.py check` asks commercetools: scopes of the API client, states, the catalog model, and ids by key."""

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
    """A scope, and the collection that shows whether the API client has it.

    An optional one has a `purpose`; `when` is the condition under which the settings make use of it, None: whenever the
    shop has such things.
    """

    name: str
    collection: str
    purpose: str = ""
    when: Condition | None = None

    @property
    def optional(self) -> bool:
        """Whether the sync does without it, and leaves out what it would read."""
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
        "for products in the price mode Standalone: no price without it",
        when=setting("price.standalone"),
    ),
    Scope("view_discount_codes", "discount-codes", "for the codes of orders: left out without it"),
    Scope(
        "view_customer_groups",
        "customer-groups",
        "for the groups of customers: left out without it",
        when=Condition("[customer.properties] customerGroup", _sends_groups),
    ),
    Scope(
        "view_states",
        "states",
        "for the workflow states of orders: their messages are not consumed without it",
        when=setting("order.transitions"),
    ),
)
"""Every scope that the function makes use of. README, deploy.sh and Terraform are held against it."""

_KINDS = {
    "channel": ("channels", "view_products or view_channels"),
    "customer group": ("customer-groups", "view_customer_groups"),
    "store": ("stores", "view_stores"),
}
"""What sync.toml names by id or key: its collection, and the scope that reads it."""


def findings(settings: Settings) -> Iterator[Finding]:
    """Findings for each scope, about workflow states and the catalog model. Ends early where nothing answers."""
    client = Commercetools(settings)
    try:
        for scope in SCOPES:
            what = f"commercetools: {scope.collection.replace('-', ' ')} can be read ({scope.name})"
            try:
                with message_budget(settings.sync.limits):
                    client.probe(scope.collection)
            except TryAgain as error:
                if error.status == _FORBIDDEN:
                    yield _missing(scope, what, settings)
                    continue
                yield _silent(error, what)
                return
            except SyncError as error:
                yield Finding("failed", what, f"It answers {error.reason}: is CT_PROJECT_ID right?")
                return
            else:
                yield _readable(scope, what, settings)
        yield from _transitions(client, settings)
        yield _catalog_model(client, settings)
    finally:
        client.close()


def _readable(scope: Scope, what: str, settings: Settings) -> Finding:
    if scope.optional or includes_scope(settings.scopes, scope.name):
        return Finding("ok", what, _use(scope, settings))
    return Finding(
        "warning",
        what,
        f"It can be read, but CT_SCOPE does not name {scope.name}, which commercetools' documentation asks for."
        " Give it to the API client, then name it.",
    )


def _missing(scope: Scope, what: str, settings: Settings) -> Finding:
    advice = (
        f"The API client lacks {scope.name}:{settings.ct_project_id}, or CT_SCOPE does not name it: make a client that"
        " has it, then name it."
    )
    if not scope.optional:
        return Finding("failed", what, advice)
    needed = scope.when is not None and scope.when.holds(settings.sync)
    return Finding("warning" if needed else "unknown", what, f"{_use(scope, settings)} {advice}")


def _use(scope: Scope, settings: Settings) -> str:
    """What an optional scope is for, and whether the settings make use of it; empty for one that is required."""
    if not scope.optional:
        return ""
    if scope.when is None:
        needed = "Needed if the shop has any."
    elif scope.when.holds(settings.sync):
        needed = f"Your settings need it ({scope.when.name})."
    else:
        needed = f"Your settings do not need it ({scope.when.name} is off)."
    return f"Optional, {scope.purpose}. {needed}"


def _silent(error: TryAgain, what: str) -> Finding:
    if error.is_denied:
        return Finding(
            "failed",
            what,
            "commercetools gives no token: check CT_API_CLIENT, CT_AUTH_URL and every scope of CT_SCOPE.",
        )
    return Finding("failed", what, f"It does not answer ({error}): check CT_API_URL and CT_AUTH_URL.")


def _transitions(client: Commercetools, settings: Settings) -> Iterator[Finding]:
    """Whether each key of `[order] transitions` is that of a state that orders can have."""
    for key, metric in settings.sync.order.transitions.items():
        what = f"commercetools: the workflow state {key} of [order] transitions"
        try:
            with message_budget(settings.sync.limits):
                state = client.with_key("states", key)
        except SyncError as error:
            if error.status == _FORBIDDEN:  # the line about the scope says what to do
                return
            yield Finding("unknown", what, f"It can't be looked for ({error}).")
            continue
        kind = state.get("type") if state else None
        if kind == "OrderState":
            yield Finding("ok", f"{what} is there")
        elif state:
            yield Finding("warning", f"{what} is of the type {kind}", f"Orders never have it: no {metric} is sent.")
        else:
            yield Finding(
                "warning", f"{what} is not there", f"No {metric} is sent: correct the key, or make the state."
            )


def _catalog_model(client: Commercetools, settings: Settings) -> Finding:
    """Whether products hold their variants: what the project says, else what a product looks like."""
    model = _model_of_project(client, settings) or _model_of_product(client, settings)
    match model:
        case "Classic":
            return Finding("ok", "commercetools: products hold their variants (catalog model Classic)")
        case "InMigration":
            return Finding(
                "warning",
                "commercetools: the project moves to the catalog model Modular (InMigration)",
                "Products still hold their variants, so all is synced. Variants of the model Modular are not read:"
                " they, their prices and their stock go missing once the project is there.",
            )
        case None:
            return Finding(
                "unknown",
                "commercetools: the catalog model",
                "The project's settings can't be read (view_project_settings), and there is no product to look at.",
            )
    return Finding(
        "warning",
        f"commercetools: the project has the catalog model {model}",
        "Variants are resources of their own there, which this package does not read: items go to Klaviyo without"
        " variants, prices and stock.",
    )


def _model_of_project(client: Commercetools, settings: Settings) -> str | None:
    """None where the settings can't be read: few clients may."""
    try:
        with message_budget(settings.sync.limits):
            project = client.project()
    except SyncError:
        return None
    return str(project.get("productCatalogModel") or "Classic") if project else None


def _model_of_product(client: Commercetools, settings: Settings) -> str | None:
    """By any published product: those of Modular projects have no master variant."""
    try:
        with message_budget(settings.sync.limits):
            product = client.probe("product-projections")
    except SyncError:
        return None
    if product is None:
        return None
    return "Classic" if product.get("masterVariant") else "Modular"


def find(settings: Settings, key: str) -> None:
    """Print id and kind of the channel, customer group or store with this key, with a tab between.

    Kinds that the API client may not read are named on stderr. Raises click.ClickException when none or several have
    the key, and when commercetools does not answer.
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
                    raise click.ClickException(f"No {kind} can be looked for ({error}): see manage.py check.") from None
                click.echo(f"No {kind} was looked for: CT_SCOPE lacks {scope}.", err=True)
            else:
                found += [f"{document['id']}\t{kind}"] if document else []
    finally:
        client.close()
    if not found:
        raise click.ClickException(f"No {', no '.join(_KINDS)} with the key {key} was found.")
    if len(found) > 1:
        raise click.ClickException("\n  ".join([f"Several have the key {key}; take the one you mean:", *found]))
    click.echo(found[0])
