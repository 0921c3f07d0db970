"""[consent] of sync.toml: where a customer's yes or no stands, and what it may change in Klaviyo."""

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
"""What the place of an answer begins with."""

Channel = Literal["email", "sms"]
CHANNELS: tuple[Channel, ...] = ("email", "sms")


def _place(place: str) -> str:
    """A place without what is wrong with it: parts that are empty."""
    name = place.removeprefix(CUSTOM).removeprefix(GROUP)
    if place and (not name or "" in name.split(".")):
        raise ValueError("must name a field, such as custom.newsletter")
    return place


CustomField = Annotated[
    str, like(r"(custom\.\S+)?", "custom.newsletter, the path of a custom field"), AfterValidator(_place)
]
"""Path of a custom field, or empty: `custom.newsletter`, `custom.consent.email` of an object."""

Place = Annotated[
    str,
    like(r"(custom\.\S+|group:[A-Za-z0-9_-]+)?", "custom.newsletter or group:newsletter"),
    AfterValidator(_place),
]
"""Path of a custom field, `group:` and the key of a customer group, or empty."""

Answer = StrictBool | StrictInt | StrictStr
"""A value that means yes or no. `1` is not `true`."""


def answers(values: tuple[Answer, ...]) -> frozenset[tuple[type, Answer]]:
    """Values to look up by type and value, as Python takes `1` for `True`."""
    return frozenset((type(value), value) for value in values)


class ConsentRules(BaseModel):
    """Where the answer stands, which values mean yes and no, and who wins where commercetools and Klaviyo differ."""

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
    def _differ(cls, values: tuple[Answer, ...], info: ValidationInfo) -> tuple[Answer, ...]:
        """A value that means both would subscribe whoever said no."""
        both = answers(values) & answers(info.data.get("subscribed", ()))
        if both:
            raise ValueError(
                f"has {', '.join(sorted(json.dumps(value) for _, value in both))} in common with subscribed"
            )
        return values

    @property
    def places(self) -> Mapping[Channel, str]:
        """The places that are set, by channel."""
        told: dict[Channel, str] = {"email": self.email, "sms": self.sms}
        return {channel: place for channel, place in told.items() if place}

    @property
    def is_on(self) -> bool:
        """Whether anything of consent is synced."""
        return bool(self.places or self.orders)

    @property
    def reads_fields(self) -> bool:
        """Whether an answer stands in a customer's custom field."""
        return any(place.startswith(CUSTOM) for place in self.places.values())

    @property
    def reads_groups(self) -> bool:
        """Whether an answer is a customer group."""
        return any(place.startswith(GROUP) for place in self.places.values())
