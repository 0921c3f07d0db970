"""Addresses: which one a profile gets, Klaviyo's `location`, address fields of order events, and phone numbers."""

import re
from functools import lru_cache

from mappers.documents import Address, Customer
from mappers.localized import text
from mappers.mapped import JsonObject
from mappers.properties import present

LOCATION_FIELDS = ("address1", "address2", "city", "country", "region", "zip")
"""Members of Klaviyo's `location` that an address can fill."""

_REGION_CODE = re.compile(r"(?:[A-Z]{2}-)?[A-Z0-9]{1,3}")
"""`BY`, `NSW`, `11`, or an ISO 3166-2 code such as `DE-BY`."""


def profile_address(customer: Customer) -> Address | None:
    """The default billing address, else the first other billing address, else the first address.

    An id that no address has is skipped.
    """
    addresses = [address for address in customer.get("addresses") or [] if address]
    by_id = {address.get("id"): address for address in addresses}
    for address_id in (customer.get("defaultBillingAddressId"), *(customer.get("billingAddressIds") or [])):
        if address_id and address_id in by_id:
            return by_id[address_id]
    return addresses[0] if addresses else None


def location(address: Address | None) -> JsonObject:
    """An address as Klaviyo's `location`, with `country` as ISO code. Members without a value are left out."""
    address = address or {}
    return present(
        {
            "address1": _street(address),
            "address2": _addition(address),
            "city": text(address.get("city")),
            "country": text(address.get("country")),
            "region": text(address.get("region")) or text(address.get("state")),
            "zip": text(address.get("postalCode")),
        }
    )


def event_address(address: Address | None) -> JsonObject:
    """`BillingAddress` or `ShippingAddress` of an order event. Members without a value are left out.

    `region` and `state` may each hold a name or a code: `RegionCode` is the first that looks like a code, `Region` the
    first that does not, else the code. `Country` is the English name, `CountryCode` the ISO code. `Phone` is the mobile
    number, else the phone number, as the shopper typed it.
    """
    address = address or {}
    regions = [region for region in (text(address.get("region")), text(address.get("state"))) if region]
    codes = [region for region in regions if _REGION_CODE.fullmatch(region)]
    names = [region for region in regions if region not in codes]
    country = text(address.get("country"))
    return present(
        {
            "FirstName": text(address.get("firstName")),
            "LastName": text(address.get("lastName")),
            "Company": text(address.get("company")),
            "Address1": _street(address),
            "Address2": _addition(address),
            "City": text(address.get("city")),
            "Region": next(iter(names or regions), None),
            "RegionCode": next(iter(codes), None),
            "Country": _country_names().get(country.upper(), country) if country else None,
            "CountryCode": country.upper() if country else None,
            "Zip": text(address.get("postalCode")),
            "Phone": text(address.get("mobile")) or text(address.get("phone")),
        }
    )


def phone_number(address: Address | None) -> str | None:
    """Mobile number, else phone number, in E.164. None if neither is valid.

    A number without a country code is taken as a number of the address's country.
    """
    candidates = written_phone_numbers(address)
    if not candidates:
        return None
    # Imported here as its metadata takes a while to load, and most messages need no phone number.
    import phonenumbers  # noqa: PLC0415 - cold start

    country = text((address or {}).get("country"))
    for candidate in candidates:
        try:
            parsed = phonenumbers.parse(candidate, country.upper() if country else None)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return None


def written_phone_numbers(address: Address | None) -> list[str]:
    """Mobile and phone number as they were typed, without blank ones."""
    address = address or {}
    return [number for number in (text(address.get("mobile")), text(address.get("phone"))) if number]


def _street(address: Address) -> str | None:
    parts = (address.get("apartment"), address.get("building"), address.get("streetNumber"), address.get("streetName"))
    return _joined(*parts)


def _addition(address: Address) -> str | None:
    return _joined(address.get("additionalStreetInfo"), address.get("additionalAddressInfo"))


def _joined(*parts: object) -> str | None:
    return ", ".join(stripped for part in parts if (stripped := text(part))) or None


@lru_cache(maxsize=1)
def _country_names() -> dict[str, str]:
    """English country names by ISO code. Source: CLDR."""
    from babel import Locale  # noqa: PLC0415 - cold start

    return dict(Locale("en").territories.items())
