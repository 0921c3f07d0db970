"""A customer as a Klaviyo profile, and what an order's events tell of the person who ordered."""

from core.settings import Settings
from mappers.address import LOCATION_FIELDS, location, phone_number, profile_address, written_phone_numbers
from mappers.documents import Customer, Reference
from mappers.limits import fit_profile
from mappers.localized import text
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.order_documents import Order
from mappers.properties import present, selected

_WITHOUT_RULE = ("password", "custom")
"""Fields of a customer that are never properties: a secret, and what has rules of its own."""


@mapper
def profile(customer: Customer, settings: Settings) -> Mapped:
    """Body of `POST /api/profile-import` for a customer.

    What the customer does not have is left out, as `null` would clear what Klaviyo learned elsewhere; the attributes
    listed in `[customer] clear` are sent as `null` then. Of a location that is listed there, every member that the
    address lacks is cleared; `properties` are merged by Klaviyo key by key, so there is nothing to clear in them.
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
    place = location(address)
    if "location" in rules.clear:
        place = dict.fromkeys(LOCATION_FIELDS) | place
    if place:
        attributes["location"] = place
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
    """Profile of these attributes, as the upsert takes it and as events hold it."""
    return {"data": {"type": "profile", "attributes": attributes}}


@mapper
def customer_in_event(customer: Customer) -> JsonObject:
    """Profile of a customer's event: who it is, and the e-mail of today. All else has messages of its own."""
    return present({"external_id": customer["id"], "email": text(customer.get("email"))})


@mapper
def guest_in_event(order: Order) -> JsonObject:
    """Profile of a guest's event: what the billing address tells, but no phone number, as nobody agreed to calls."""
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
    """Profile of an event by the order's e-mail alone; empty without one."""
    return present({"email": text(order.get("customerEmail"))})


@mapper
def email_of(customer: Customer) -> Mapped:
    """Body of the upsert that puts a customer's e-mail right and nothing else."""
    return Mapped(profile_body(customer_in_event(customer)))


def _own_fields(customer: Customer) -> JsonObject:
    """Fields that may become properties; groups and stores by their keys, and without those whose key is unknown."""
    groups = [assigned.get("customerGroup") for assigned in customer.get("customerGroupAssignments") or []]
    return {
        **{name: value for name, value in customer.items() if name not in _WITHOUT_RULE},
        "customerGroup": _key(customer.get("customerGroup")),
        "customerGroupAssignments": [key for group in groups if (key := _key(group))],
        "stores": [key for store in customer.get("stores") or [] if (key := text(store.get("key")))],
    }


def _key(reference: Reference | None) -> str | None:
    """Key of an expanded reference."""
    return text(((reference or {}).get("obj") or {}).get("key"))
