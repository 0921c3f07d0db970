"""A customer as a Klaviyo profile, and the profile in an order's events."""

from core.settings import Settings
from mappers.address import LOCATION_FIELDS, location, phone_number, profile_address, written_phone_numbers
from mappers.documents import Customer, Reference
from mappers.limits import fit_profile
from mappers.localized import text
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.order_documents import Order
from mappers.properties import present, selected

_EXCLUDED = ("password", "custom")
"""Customer fields left out here: the password, and `custom`, whose fields are selected by their own rules."""


@mapper
def profile(customer: Customer, settings: Settings) -> Mapped:
    """Body of `POST /api/profile-import` for a customer.

    Empty attributes are left out, because `null` would clear what Klaviyo learned elsewhere. Those listed in
    `[customer] clear` are sent as `null` instead. If `location` is listed, each member that the address lacks is sent
    as `null`. Klaviyo merges `properties` key by key, so nothing in them is cleared.
    """
    address = profile_address(customer)
    phone = phone_number(address)
    attributes = present(
        {
            "external_id": customer["id"],
            "email": text(customer.get("email")),
            "first_name": text(customer.get("firstName")),
            "last_name": text(customer.get("lastName")),
            "title": text(customer.get("title")),
            "organization": text(customer.get("companyName")),
            "locale": text(customer.get("locale")),
            "phone_number": phone,
        }
    )
    rules = settings.sync.customer
    customer_location = location(address)
    if "location" in rules.clear:
        customer_location = dict.fromkeys(LOCATION_FIELDS) | customer_location
    if customer_location:
        attributes["location"] = customer_location
    custom = selected((customer.get("custom") or {}).get("fields"), rules.custom_fields)
    properties = custom | selected(_own_fields(customer), rules.properties)
    if properties:
        attributes["properties"] = properties
    for name in rules.clear:
        attributes.setdefault(name, None)
    fitting, cuts = fit_profile(attributes)
    if not phone and written_phone_numbers(address):
        cuts = ("phone_number: not a valid number", *cuts)
    return Mapped(profile_body(fitting), cuts)


def profile_body(attributes: JsonObject) -> JsonObject:
    """Profile with these attributes, as used in an upsert and inside an event."""
    return {"data": {"type": "profile", "attributes": attributes}}


@mapper
def customer_in_event(customer: Customer) -> JsonObject:
    """Profile attributes of a customer's event: id and current e-mail. Customer messages sync all others."""
    return present({"external_id": customer["id"], "email": text(customer.get("email"))})


@mapper
def guest_in_event(order: Order) -> JsonObject:
    """Profile attributes of a guest's event, from the billing address.

    Without the phone number: a guest has not consented to calls.
    """
    address = order.get("billingAddress") or {}
    return present(
        {
            "email": text(order.get("customerEmail")),
            "first_name": text(address.get("firstName")),
            "last_name": text(address.get("lastName")),
            "location": location(address) or None,
            "locale": text(order.get("locale")),
        }
    )


@mapper
def email_in_event(order: Order) -> JsonObject:
    """Profile attributes of an event: the order's e-mail only. Empty if it has none."""
    return present({"email": text(order.get("customerEmail"))})


@mapper
def email_update(customer: Customer) -> Mapped:
    """Body of the upsert that corrects a customer's e-mail and nothing else."""
    return Mapped(profile_body(customer_in_event(customer)))


def _own_fields(customer: Customer) -> JsonObject:
    """Fields that may become properties. Groups and stores are replaced by their keys, or left out without a key."""
    groups = [assigned.get("customerGroup") for assigned in customer.get("customerGroupAssignments") or []]
    return {
        **{name: value for name, value in customer.items() if name not in _EXCLUDED},
        "customerGroup": _key(customer.get("customerGroup")),
        "customerGroupAssignments": [key for group in groups if (key := _key(group))],
        "stores": [key for store in customer.get("stores") or [] if (key := text(store.get("key")))],
    }


def _key(reference: Reference | None) -> str | None:
    """Key of an expanded reference; None if it is not expanded."""
    return text(((reference or {}).get("obj") or {}).get("key"))
