"""A customer as a Klaviyo profile."""

from core.settings import Settings
from mappers.address import LOCATION_FIELDS, location, phone_number, profile_address, written_phone_numbers
from mappers.documents import Customer
from mappers.limits import fit_profile
from mappers.localized import text
from mappers.mapped import JsonObject, Mapped, mapper
from mappers.properties import present, selected


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
    properties = selected((customer.get("custom") or {}).get("fields"), rules.custom_fields)
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
