"""[consent] of sync.toml: where the shop keeps a customer's yes or no, and what it may change in Klaviyo."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
)

from core.setting_errors import like

CUSTOM, GROUP = "custom.", "group:"
"""Prefixes of a place: a custom field, or a customer group."""

Channel = Literal["email", "sms"]
CHANNELS: tuple[Channel, ...] = ("email", "sms")


def _named_place(place: str) -> str:
    """Refuse a place without a name, or with an empty part in its path."""
    name = place.removeprefix(CUSTOM).removeprefix(GROUP)
    if place and (not name or "" in name.split(".")):
        raise ValueError("must name a field, such as custom.newsletter")
    return place


CustomField = Annotated[
    str, like(r"(custom\.\S+)?", "custom.newsletter, the path of a custom field"), AfterValidator(_named_place)
]
"""Path of a custom field, or empty: `custom.newsletter`, or `custom.consent.email` inside an object."""

Place = Annotated[
    str,
    like(r"(custom\.\S+|group:[A-Za-z0-9_-]+)?", "custom.newsletter or group:newsletter"),
    AfterValidator(_named_place),
]
"""Where an answer is kept: path of a custom field, `group:` and the key of a customer group, or empty."""

Answer = StrictBool | StrictInt | StrictStr
"""A value that means yes or no. `1` does not count as `true`."""


def typed_answers(values: tuple[Answer, ...]) -> frozenset[tuple[type, Answer]]:
    """Each value with its type, for lookups: in Python `1` equals `True`."""
    return frozenset((type(value), value) for value in values)


class ConsentRules(BaseModel):
    """Where answers are kept, which values mean yes and no, and who wins if commercetools and Klaviyo differ."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    email: Place = ""
    sms: Place = ""
    subscribed: tuple[Answer, ...] = (True, "true", "yes", "subscribed", "opt-in")
    unsubscribed: tuple[Answer, ...] = (False, "false", "no", "unsubscribed", "opt-out")
    consented_at: CustomField = ""
    list: Annotated[str, like(r"[A-Za-z0-9]{0,64}", "Xy12Zz, the id of a list in Klaviyo")] = ""
    source: Annotated[str, Field(max_length=100)] = "commercetools"
    conflict: Literal["newest", "klaviyo", "commercetools"] = "newest"
    orders: CustomField = ""
    confirmed: bool = False

    @field_validator("unsubscribed")
    @classmethod
    def _disjoint(cls, values: tuple[Answer, ...], info: ValidationInfo) -> tuple[Answer, ...]:
        """Refuse a value that means both yes and no: it would subscribe people who said no."""
        both = typed_answers(values) & typed_answers(info.data.get("subscribed", ()))
        if both:
            raise ValueError(
                f"has {', '.join(sorted(json.dumps(value) for _, value in both))} in common with subscribed"
            )
        return values

    @property
    def places(self) -> Mapping[Channel, str]:
        """The configured places by channel."""
        places: dict[Channel, str] = {"email": self.email, "sms": self.sms}
        return {channel: place for channel, place in places.items() if place}

    @property
    def is_on(self) -> bool:
        """True if any consent is synced."""
        return bool(self.places or self.orders)

    @property
    def reads_fields(self) -> bool:
        """True if an answer is kept in a custom field of the customer."""
        return any(place.startswith(CUSTOM) for place in self.places.values())

    @property
    def reads_groups(self) -> bool:
        """True if an answer is membership of a customer group."""
        return any(place.startswith(GROUP) for place in self.places.values())
