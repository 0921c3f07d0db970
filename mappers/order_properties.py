"""Fields of order events in Klaviyo's own schema for shops, which its templates and segments rely on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from core.settings import Settings
from mappers.address import event_address
from mappers.catalog_documents import Variant
from mappers.documents import Reference
from mappers.ids import variant_sku
from mappers.item import variant_images
from mappers.localized import localized, text
from mappers.mapped import JsonObject
from mappers.money import number, optional_amount
from mappers.order_documents import CustomLineItem, LineItem, Order, ShippingInfo
from mappers.product_url import complete_product_url
from mappers.properties import present


@dataclass(frozen=True, slots=True)
class OrderDetails:
    """Data that an order does not contain, looked up for its events.

    `categories` holds the category paths of each product (see `category_paths`) and `images` its first image, both by
    product id. `discount_codes` holds the codes that the shopper typed, by the id of the code.
    """

    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    discount_codes: Mapping[str, str] = field(default_factory=dict)


NO_DETAILS = OrderDetails()


def order_fields(order: Order, details: OrderDetails, settings: Settings) -> JsonObject:
    """Fields of an order in Klaviyo's schema, without empty ones. Amounts are in major units of its currency."""
    line_items, custom_line_items = order.get("lineItems") or [], order.get("customLineItems") or []
    items = [item_fields(line_item, details, settings) for line_item in line_items]
    shipping_address = order.get("shippingAddress") or {}
    lines: list[LineItem | CustomLineItem] = [*line_items, *custom_line_items]
    return present(
        {
            "OrderId": order["id"],
            "OrderNumber": text(order.get("orderNumber")),
            "ItemNames": _distinct(localized(line.get("name"), settings.preferred_locale) for line in lines),
            "Categories": _distinct(path for item in items for path in item.get("Categories", ())),
            "Brands": _distinct(item.get("Brand") for item in items),
            "ItemCount": sum(line.get("quantity") or 0 for line in lines),
            "DiscountCode": _discount_codes(order, details),
            "DiscountValue": _number(_discount(order, lines)),
            "ShippingCost": _number(_shipping_cost(order)),
            "TaxTotal": _number(_tax(order)),
            "Currency": order["totalPrice"].get("currencyCode"),
            "Country": text(order.get("country")) or text(shipping_address.get("country")),
            "Locale": text(order.get("locale")),
            "StoreKey": text((order.get("store") or {}).get("key")),
            "IsGuest": not order.get("customerId"),
            "Items": items,
            # An empty address counts as absent.
            "BillingAddress": event_address(order.get("billingAddress")) or None,
            "ShippingAddress": event_address(shipping_address) or None,
        }
    )


def line_item_fields(order_id: str, line_item: LineItem, details: OrderDetails, settings: Settings) -> JsonObject:
    """Fields of a line item's own event, Ordered Product, in Klaviyo's schema."""
    item = item_fields(line_item, details, settings)
    brand = item.pop("Brand", None)
    return {"OrderId": order_id, **item} | present({"ProductBrand": brand})


def brand_of(variant: Variant | None, settings: Settings) -> str | None:
    """Brand of a variant, from the attribute named in `[product] brand_attribute`.

    The attribute may be a text or an enum (its label counts), localized or not, or a set of these (the first with a
    text counts).
    """
    name = settings.sync.product.brand_attribute
    for attribute in (variant or {}).get("attributes") or []:
        if name and attribute.get("name") == name:
            value = attribute.get("value")
            values = value if isinstance(value, list) else [value]
            return next((brand for entry in values if (brand := _attribute_text(entry, settings))), None)
    return None


def _attribute_text(value: Any, settings: Settings) -> str | None:
    if not isinstance(value, Mapping):
        return text(value)
    if "key" in value or "label" in value:
        return _attribute_text(value.get("label"), settings) or text(value.get("key"))
    # A reference or an amount of money has no text. Any other object is text by locale.
    return None if "typeId" in value or "centAmount" in value else localized(value, settings.preferred_locale)


def item_fields(line_item: LineItem, details: OrderDetails, settings: Settings) -> JsonObject:
    """A line item in Klaviyo's schema: an entry of `Items`."""
    variant: Variant = line_item.get("variant") or {}
    product_id = line_item["productId"]
    has_sku = variant.get("id") is not None or variant.get("sku") or variant.get("key")
    return present(
        {
            "ProductID": product_id,
            "SKU": variant_sku(product_id, variant) if has_sku else None,
            "ProductName": localized(line_item.get("name"), settings.preferred_locale),
            "Quantity": line_item.get("quantity"),
            "ItemPrice": _number(_unit_price(line_item)),
            "RowTotal": _number(optional_amount(line_item.get("totalPrice"))),
            "ProductURL": _url(line_item, settings),
            "ImageURL": next(iter(variant_images(variant)), details.images.get(product_id)),
            "Categories": list(details.categories.get(product_id) or ()),
            "Brand": brand_of(variant, settings),
        }
    )


def _url(line_item: LineItem, settings: Settings) -> str | None:
    """URL of the product, built from the line item's fields."""
    return complete_product_url(
        {
            "id": line_item["productId"],
            "key": line_item.get("productKey") or "",
            "slug": line_item.get("productSlug") or {},
        },
        line_item.get("variant"),
        settings,
    )


def _unit_price(line_item: LineItem) -> Decimal | None:
    """Price of one unit, after product discounts and before cart discounts."""
    price = line_item.get("price") or {}
    discounted = optional_amount((price.get("discounted") or {}).get("value"))
    return optional_amount(price.get("value")) if discounted is None else discounted


def discount_code_ids(order: Order) -> list[str]:
    """Ids of the order's discount codes that are not expanded and have to be looked up."""
    return [reference["id"] for reference in _code_references(order) if reference.get("id") and not _code(reference)]


def _code_references(order: Order) -> list[Reference]:
    return [(info or {}).get("discountCode") or {} for info in order.get("discountCodes") or []]


def _code(reference: Reference) -> str | None:
    """The code of an expanded reference; None if it is not expanded."""
    return text((reference.get("obj") or {}).get("code"))


def _discount_codes(order: Order, details: OrderDetails) -> str | None:
    """Codes as the shopper typed them. A code that can't be read is left out: its id means nothing to people."""
    codes = (
        _code(reference) or details.discount_codes.get(reference.get("id", "")) for reference in _code_references(order)
    )
    return ", ".join(_distinct(codes)) or None


def _discount(order: Order, lines: Sequence[LineItem | CustomLineItem]) -> Decimal | None:
    """Amount that cart discounts took off the total price and the lines; None if there are none."""
    amounts = [optional_amount((order.get("discountOnTotalPrice") or {}).get("discountedAmount"))]
    for line in lines:
        for portion in line.get("discountedPricePerQuantity") or []:
            quantity = portion.get("quantity") or 0
            for discount in (portion.get("discountedPrice") or {}).get("includedDiscounts") or []:
                # The amount is for one unit.
                per_unit = optional_amount(discount.get("discountedAmount"))
                amounts.append(None if per_unit is None else per_unit * quantity)
    return _total(amounts)


def _shipping_cost(order: Order) -> Decimal | None:
    """Shipping cost after discounts, summed over all shipping methods; None if there is none."""
    single = order.get("shippingInfo")
    infos = [single] if single else [(shipping or {}).get("shippingInfo") for shipping in order.get("shipping") or []]
    return _total(_shipping_price(info) for info in infos if info)


def _shipping_price(info: ShippingInfo) -> Decimal | None:
    discounted = optional_amount((info.get("discountedPrice") or {}).get("value"))
    return optional_amount(info.get("price")) if discounted is None else discounted


def _tax(order: Order) -> Decimal | None:
    taxed = order.get("taxedPrice") or {}
    total = optional_amount(taxed.get("totalTax"))
    if total is not None:
        return total
    gross, net = optional_amount(taxed.get("totalGross")), optional_amount(taxed.get("totalNet"))
    return None if gross is None or net is None else gross - net


def _total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    present_amounts = [amount for amount in amounts if amount is not None]
    return sum(present_amounts, Decimal()) if present_amounts else None


def _number(amount: Decimal | None) -> float | int | None:
    return None if amount is None else number(amount)


def _distinct(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))
