"""Settings: the environment (where the backends are, and their keys) and sync.toml (what to sync, under what name)."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from core.errors import ConfigurationError

DEFAULT_SYNC_TOML = Path(__file__).parents[1] / "sync.toml"

MetricName = Annotated[str, Field(min_length=1, max_length=127)]
"""Klaviyo: metric names have fewer than 128 characters."""

ClearableAttribute = Literal["first_name", "last_name", "title", "organization", "locale", "phone_number", "location"]


class _Section(BaseModel):
    """A table of sync.toml: an unknown key is a mistake, not something to pass over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PropertyRules(_Section):
    """Which fields become properties: `include` (empty: all), then `exclude`, then `rename`."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = {}


class CustomerProperties(PropertyRules):
    """The same for a customer's own fields, of which few leave the shop unasked."""

    include: tuple[str, ...] = ("customerNumber", "customerGroup", "stores")


class Messages(_Section):
    """`resource/type` keys that are acknowledged without effect."""

    disabled: tuple[Annotated[str, Field(pattern=r"^[a-z-]+/[A-Za-z]+$")], ...] = ()


class Metrics(_Section):
    """Names of the Klaviyo metrics."""

    placed_order: MetricName = "Placed Order"
    ordered_product: MetricName = "Ordered Product"
    fulfilled_order: MetricName = "Fulfilled Order"
    cancelled_order: MetricName = "Cancelled Order"
    refunded_order: MetricName = "Refunded Order"


class EventRules(_Section):
    """From which age on (seconds) an event starts no flow; 0: never."""

    flow_max_age: Annotated[float, Field(ge=0)] = 259_200


class OrderRules(_Section):
    """States that make events, what an order is worth, whose events are sent, and what becomes properties."""

    value: Literal["gross", "total"] = "gross"
    deleted_customers: Literal["skip", "email"] = "skip"
    placed_states: tuple[str, ...] = ()
    fulfilled_states: tuple[str, ...] = ("Confirmed", "Complete")
    cancelled_states: tuple[str, ...] = ("Cancelled",)
    properties: PropertyRules = PropertyRules()
    custom_fields: PropertyRules = PropertyRules()


class CustomerRules(_Section):
    """Erasure, attributes to clear, and what becomes properties."""

    erase: bool = True
    clear: tuple[ClearableAttribute, ...] = ()
    properties: CustomerProperties = CustomerProperties()
    custom_fields: PropertyRules = PropertyRules()


class PaymentRules(_Section):
    """States that make a refund, and how long a refund waits for its order (seconds)."""

    refund_states: tuple[str, ...] = ("Success",)
    order_wait: Annotated[float, Field(ge=0)] = 3600


class ProductRules(_Section):
    """The brand's attribute, and what becomes of an unpublished product."""

    brand_attribute: str = "brand"
    unpublished: Literal["delete", "hide"] = "delete"


def _several(channel: object) -> object:
    """One id as a list of one; none for an empty one."""
    return ([channel] if channel else []) if isinstance(channel, str) else channel


class InventoryRules(_Section):
    """The supply channels whose stock counts, summed; none: the stock without a channel, else that of all channels."""

    channel: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_several)] = ()


class Limits(_Section):
    """How long and how often: seconds and counts, as sync.toml explains them."""

    connect_timeout: Annotated[float, Field(gt=0)] = 3.0
    read_timeout: Annotated[float, Field(gt=0)] = 10.0
    message_seconds: Annotated[float, Field(gt=0, le=50)] = 25.0
    call_attempts: Annotated[int, Field(ge=1)] = 3
    message_retries: Annotated[int, Field(ge=0)] = 4
    retry_after_max: Annotated[float, Field(ge=0)] = 5.0
    backoff: Annotated[float, Field(ge=0)] = 0.2
    stale_after: Annotated[float, Field(ge=0)] = 0.0
    parallel_writes: Annotated[int, Field(ge=0)] = 0
    product_categories_ttl: Annotated[float, Field(ge=0)] = 300
    dead_letter_seconds: Annotated[float, Field(gt=0)] = 5.0


class SyncRules(_Section):
    """sync.toml as a whole."""

    messages: Messages = Messages()
    metrics: Metrics = Metrics()
    events: EventRules = EventRules()
    order: OrderRules = OrderRules()
    customer: CustomerRules = CustomerRules()
    payment: PaymentRules = PaymentRules()
    product: ProductRules = ProductRules()
    inventory: InventoryRules = InventoryRules()
    limits: Limits = Limits()


class ApiClient(BaseModel):
    """Credentials of a commercetools API client."""

    model_config = ConfigDict(frozen=True)

    client_id: Annotated[str, Field(validation_alias=AliasChoices("clientId", "client_id"), min_length=1)]
    secret: Annotated[SecretStr, Field(min_length=1)]


_OVER_TLS = re.compile(r"https://[^\s/]+(/\S*)?")
_ON_THIS_MACHINE = re.compile(r"http://(localhost|127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}|\[::1\])(:\d+)?(/\S*)?")
"""Matches the whole authority: what is before an `@` is no host."""


def _without_eavesdroppers(url: str) -> str:
    if not _OVER_TLS.fullmatch(url) and not _ON_THIS_MACHINE.fullmatch(url):
        raise ValueError("must be https://HOST; http:// is for this machine only (localhost, 127.0.0.1, [::1])")
    return url.rstrip("/")


_QUOTED = re.compile(r"""\s*(['"])(.*)\1\s*""", re.DOTALL)


def _unquoted(value: str) -> str:
    """A value without quotes around it; in double quotes a backslash stands before those inside."""
    quoted = _QUOTED.fullmatch(value)
    if not quoted:
        return value
    return re.sub(r'\\(["\\])', r"\1", quoted[2]) if quoted[1] == '"' else quoted[2]


BackendUrl = Annotated[str, AfterValidator(_without_eavesdroppers)]
"""https, or http to a loopback host; without a slash at the end."""


class Settings(BaseSettings):
    """The environment; `sync` holds sync.toml. Made by `load_settings`."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    ct_api_url: BackendUrl
    ct_auth_url: BackendUrl
    ct_project_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,256}$")]
    ct_scope: Annotated[str, Field(validation_alias=AliasChoices("CT_SCOPE", "CT_SCOPES"), min_length=1)]
    ct_api_client: Annotated[ApiClient, NoDecode]
    klaviyo_auth_key: Annotated[SecretStr, Field(min_length=1)]
    klaviyo_api_url: BackendUrl | None = None
    app_type: str | None = None
    pub_sub_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    skip_base64_encoding: str | None = None
    preferred_locale: str | None = None
    preferred_currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    product_url_template: str | None = None
    klaviyo_limit_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Part of Klaviyo's rate limits that is this instance's: one divided by the number of instances."""
    dead_letter_topic: Annotated[str, Field(pattern=r"^projects/[^/]+/topics/[^/]+$")] | None = None
    k_service: str | None = None
    """Set by Cloud Run, where IAM checks who calls."""
    push_audience: Annotated[str, Field(pattern=r"^\S+$")] | None = None
    push_service_account: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    """With `push_audience`: the account whose tokens `sync_push` takes. None: it does not check who calls."""
    sync_config: Path | None = None
    threads: Annotated[int, Field(ge=1)] = (os.cpu_count() or 1) * 4
    """Messages that are worked on at the same time, as functions-framework reads it."""

    sync: SyncRules = SyncRules()

    @model_validator(mode="before")
    @classmethod
    def _without_quotes(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Docker's --env-file leaves quotes in the value; a shell and other readers of the same file take them off."""
        return {name: _unquoted(value) if isinstance(value, str) else value for name, value in values.items()}

    @field_validator("klaviyo_auth_key", mode="before")
    @classmethod
    def _key(cls, value: object) -> object:
        """Without the line break that `echo` puts behind a secret; what no header can hold is a mistake."""
        if not isinstance(value, str) or not (key := value.strip()):
            return value
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("holds characters that no key has")
        return key

    @field_validator("ct_api_client", mode="before")
    @classmethod
    def _credentials(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            # The value holds a secret, so the message can't quote it.
            raise ValueError('must be a JSON object: {"clientId": "...", "secret": "..."}')  # noqa: TRY004
        return parsed

    @field_validator("app_type")
    @classmethod
    def _event_only(cls, value: str | None) -> str | None:
        if value not in (None, "EVENT"):
            raise ValueError("must be EVENT or unset: this package only syncs events, it has no bulk import")
        return value

    @field_validator("push_service_account")
    @classmethod
    def _with_an_audience(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "push_audience" not in info.data:
            return value  # it is wrong, and said to be
        audience = info.data["push_audience"]
        if info.data["k_service"] and (audience or value):
            raise ValueError(
                "leave it and PUSH_AUDIENCE out on Cloud Run (K_SERVICE is set):"
                " IAM checks who calls, and the token arrives without its signature"
            )
        if bool(audience) != bool(value):
            raise ValueError("set both PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT, or neither")
        return value

    @field_validator("preferred_currency", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        return value.strip().upper() if isinstance(value, str) else value

    @cached_property
    def accepts_bare_notifications(self) -> bool:
        """Whether `sync_push` takes a commercetools notification without Pub/Sub's envelope (SKIP_BASE64_ENCODING)."""
        return bool(self.skip_base64_encoding)

    @cached_property
    def reaches_this_machine_only(self) -> bool:
        """Whether both backends run on this machine, as stand-ins do: nothing that is real can be written to."""
        urls = (self.ct_api_url, self.ct_auth_url, self.klaviyo_api_url)
        return all(url and _ON_THIS_MACHINE.fullmatch(url) for url in urls)

    @cached_property
    def scopes(self) -> list[str]:
        """The commercetools scopes to ask for."""
        return self.ct_scope.split()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is handed in, and the environment: no file is read behind anyone's back."""
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings


def load_settings() -> Settings:
    """The settings of this process, from the environment and sync.toml.

    Raises ConfigurationError, which lists every problem of both and never shows a value.
    """
    problems: list[str] = []
    rules = SyncRules()
    path = Path(os.environ.get("SYNC_CONFIG") or DEFAULT_SYNC_TOML)
    try:
        rules = SyncRules.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError:
        problems.append(f"SYNC_CONFIG: {path} can't be read")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{path.name} is not TOML: {error}")
    except ValidationError as error:
        problems += [f"{path.name}: {problem}" for problem in _problems(error, ".".join)]
    try:
        settings = Settings.model_validate({"sync": rules})
    except ValidationError as error:
        problems += _problems(error, _environment_name)
    if problems:
        raise ConfigurationError(problems)
    return settings


def _environment_name(path: tuple[str, ...]) -> str:
    name = path[0].upper()
    return f"{name} ({'.'.join(path[1:])})" if len(path) > 1 else name


def _problems(error: ValidationError, name: Any) -> list[str]:
    """One line a problem, without the value: it may be a secret."""
    return [
        f"{name(tuple(str(part) for part in problem['loc']))}: {_said(problem)}"
        for problem in error.errors(include_input=False, include_url=False)
    ]


def _said(problem: Mapping[str, Any]) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    return {"missing": "is not set", "extra_forbidden": "is not known"}.get(problem["type"], text)
