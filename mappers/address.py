"""Addresses: a customer's one for the profile, Klaviyo's location, and the address fields of order events."""

import re
from functools import lru_cache

from mappers.documents import Address, Customer
from mappers.localized import text
from mappers.mapped import JsonObject
from mappers.properties import present

LOCATION_FIELDS = ("address1", "address2", "city", "country", "region", "zip")
"""The members of Klaviyo's location that an address has something for."""

_REGION_CODE = re.compile(r"(?:[A-Z]{2}-)?[A-Z0-9]{1,3}")
"""`BY`, `NSW`, `11` or, by ISO 3166-2, `DE-BY`."""


def profile_address(customer: Customer) -> Address | None:
    """Address of `defaultBillingAddressId`, else the first billing address that exists, else the first address."""
    addresses = [address for address in customer.get("addresses") or [] if address]
    by_id = {address.get("id"): address for address in addresses}
    for wanted in (customer.get("defaultBillingAddressId"), *(customer.get("billingAddressIds") or [])):
        if wanted and wanted in by_id:
            return by_id[wanted]
    return addresses[0] if addresses else None


def location(address: Address | None) -> JsonObject:
    """Klaviyo's location of an address, `country` as its ISO code; members without a value are left out."""
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
    """`BillingAddress` or `ShippingAddress` of an order event; members without a value are left out.

    Of `region` and `state`, `Region` takes the one that is a name and `RegionCode` the one that looks like a code.
    `Country` is the English name, `CountryCode` the ISO code, `Phone` the mobile number, else the phone number, as the
    shopper wrote it.
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
    """Mobile number, else the phone number, in E.164; None when neither is a valid number of its country."""
    written = written_phone_numbers(address)
    if not written:
        return None
    # Its metadata takes a while to load, and most messages hold no phone number.
    import phonenumbers  # noqa: PLC0415 - cold start

    country = text((address or {}).get("country"))
    for candidate in written:
        try:
            parsed = phonenumbers.parse(candidate, country.upper() if country else None)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return None


def written_phone_numbers(address: Address | None) -> list[str]:
    """Mobile and phone number as they were entered, blank ones left out."""
    address = address or {}
    return [number for number in (text(address.get("mobile")), text(address.get("phone"))) if number]


def _street(address: Address) -> str | None:
    parts = (address.get("apartment"), address.get("building"), address.get("streetNumber"), address.get("streetName"))
    return _joined(*parts)


def _addition(address: Address) -> str | None:
    return _joined(address.get("additionalStreetInfo"), address.get("additionalAddressInfo"))


def _joined(*parts: object) -> str | None:
    return ", ".join(written for part in parts if (written := text(part))) or None


@lru_cache(maxsize=1)
def _country_names() -> dict[str, str]:
    """English country names by ISO code, from CLDR."""
    from babel import Locale  # noqa: PLC0415 - cold start

    return dict(Locale("en").territories.items())
