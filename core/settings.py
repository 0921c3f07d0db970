"""Settings from the environment (URLs and keys of the backends) and from sync.toml (what is synced)."""

import json
import os
import re
import tomllib
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
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
from core.rules import CONSUMED, SyncRules
from core.setting_errors import Location, like, problems_of

DEFAULT_SYNC_TOML = Path(__file__).parents[1] / "sync.toml"


class ApiClient(BaseModel):
    """Credentials of a commercetools API client."""

    model_config = ConfigDict(frozen=True)

    client_id: Annotated[str, Field(validation_alias=AliasChoices("clientId", "client_id"), min_length=1)]
    secret: Annotated[SecretStr, Field(min_length=1)]


_OVER_TLS = re.compile(r"https://[^\s/]+(/\S*)?")
_LOOPBACK = re.compile(r"http://(localhost|127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}|\[::1\])(:\d+)?(/\S*)?")
"""The authority must have no `@`: in `http://localhost@example.com` the host is example.com."""


def _secure_url(url: str) -> str:
    if not _OVER_TLS.fullmatch(url) and not _LOOPBACK.fullmatch(url):
        raise ValueError(
            "must be a URL such as https://api.example.com;"
            " http:// is allowed for this machine only (localhost, 127.0.0.1, [::1])"
        )
    return url.rstrip("/")


_QUOTED = re.compile(r"""\s*(['"])(.*)\1\s*""", re.DOTALL)
_ESCAPED = re.compile(r'\s*"(?:[^"\\]|\\.)*"\s*', re.DOTALL)


def _unquoted(value: str) -> str:
    """A value without surrounding quotes. In double quotes, escaped quotes and backslashes are unescaped as well."""
    quoted = _QUOTED.fullmatch(value)
    if not quoted:
        return value
    return re.sub(r'\\(["\\])', r"\1", quoted[2]) if _ESCAPED.fullmatch(quoted[0]) else quoted[2]


_IS_PLACEHOLDER = "is still the placeholder from .env.example: replace it with the real value"
_PLACEHOLDER_KEY = "pk_..."

BackendUrl = Annotated[str, AfterValidator(_secure_url)]
"""An https URL, or http for a loopback host, without a trailing slash."""


class Settings(BaseSettings):
    """The settings from the environment; `sync` holds those of sync.toml. Create it with `load_settings`."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    ct_api_url: BackendUrl
    ct_auth_url: BackendUrl
    ct_project_id: Annotated[str, like(r"[A-Za-z0-9_-]{1,256}", "my-shop, a project key")]
    ct_scope: Annotated[str, Field(validation_alias=AliasChoices("CT_SCOPE", "CT_SCOPES"), min_length=1)]
    ct_api_client: Annotated[ApiClient, NoDecode]
    klaviyo_auth_key: Annotated[SecretStr, Field(min_length=1)]
    klaviyo_api_url: BackendUrl | None = None
    app_type: str | None = None
    pub_sub_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    skip_base64_encoding: str | None = None
    preferred_locale: str | None = None
    preferred_currency: Annotated[str, like(r"[A-Z]{3}", "EUR")] | None = None
    product_url_template: str | None = None
    klaviyo_limit_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """This instance's share of Klaviyo's rate limits: 1 divided by the maximum number of instances."""
    dead_letter_topic: Annotated[str, like(r"projects/[^/]+/topics/[^/]+", "projects/P/topics/T")] | None = None
    k_service: str | None = None
    """Set by Cloud Run, where IAM authenticates callers."""
    push_audience: Annotated[str, like(r"\S+", "https://sync.shop.example/")] | None = None
    push_service_account: Annotated[str, like(r"[^@\s]+@[^@\s]+", "push@p.iam.gserviceaccount.com")] | None = None
    """The account whose tokens `sync_push` accepts, for `push_audience`. None: it does not authenticate callers."""
    sync_config: Path | None = None
    threads: Annotated[int, Field(ge=1)] = (os.cpu_count() or 1) * 4
    """How many messages are processed at a time. functions-framework reads the same variable."""

    sync: SyncRules = SyncRules()

    @model_validator(mode="before")
    @classmethod
    def _without_quotes(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Remove quotes around values: Docker's --env-file keeps them, unlike a shell that reads the same file."""
        return {name: _unquoted(value) if isinstance(value, str) else value for name, value in values.items()}

    @field_validator("klaviyo_auth_key", mode="before")
    @classmethod
    def _key(cls, value: object) -> object:
        """Strip the line break that `echo` appends to a secret. Refuse a key that can't be sent in a header."""
        if not isinstance(value, str) or not (key := value.strip()):
            return value
        if key == _PLACEHOLDER_KEY:
            raise ValueError(_IS_PLACEHOLDER)
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("contains characters that no key has")
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
            # The value contains a secret, so the message must not quote it.
            raise ValueError('must be a JSON object: {"clientId": "...", "secret": "..."}')  # noqa: TRY004
        if "..." in parsed.values():
            raise ValueError(_IS_PLACEHOLDER)
        return parsed

    @field_validator("app_type")
    @classmethod
    def _event_only(cls, value: str | None) -> str | None:
        if value not in (None, "EVENT"):
            raise ValueError("must be EVENT or unset: to load a shop's existing data, run `python3 manage.py backfill`")
        return value

    @field_validator("push_service_account")
    @classmethod
    def _with_an_audience(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "push_audience" not in info.data:
            return value  # already reported as wrong
        audience = info.data["push_audience"]
        if info.data["k_service"] and (audience or value):
            raise ValueError(
                "and PUSH_AUDIENCE must not be set on Cloud Run (K_SERVICE is set):"
                " IAM authenticates callers, and tokens arrive without their signature"
            )
        if bool(audience) != bool(value):
            raise ValueError("and PUSH_AUDIENCE go together: set both, or neither")
        return value

    @field_validator("preferred_currency", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        return value.strip().upper() if isinstance(value, str) else value

    @cached_property
    def accepts_bare_notifications(self) -> bool:
        """True if commercetools notifications are accepted without Pub/Sub's envelope (SKIP_BASE64_ENCODING)."""
        return bool(self.skip_base64_encoding)

    @cached_property
    def has_only_local_backends(self) -> bool:
        """True if both backends run on this machine, as the sandbox does, so that no real account can be changed."""
        urls = (self.ct_api_url, self.ct_auth_url, self.klaviyo_api_url)
        return all(url and _LOOPBACK.fullmatch(url) for url in urls)

    @cached_property
    def scopes(self) -> list[str]:
        """The commercetools scopes to request."""
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
        """Read arguments and environment variables only, never a .env or secrets file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings


def includes_scope(scopes: Collection[str], scope: str) -> bool:
    """True if `scopes`, as in CT_SCOPE, grant this one (`view_standalone_prices`), maybe as part of a broader one."""
    what = scope.removeprefix("view_").removeprefix("published_")
    return not {scope, f"manage_{what}", "manage_project"}.isdisjoint(named.partition(":")[0] for named in scopes)


def load_settings(consumed: Collection[str] = ()) -> Settings:
    """Load the settings of this process from the environment and sync.toml.

    `consumed` are the keys of all messages that have a handler: sync.toml may name no others. Raises
    ConfigurationError, which lists every problem of both and never shows a value from the environment.
    """
    problems: list[str] = []
    rules = SyncRules()
    try:
        rules = load_rules(consumed)
    except ConfigurationError as error:
        problems += error.problems
    try:
        settings = Settings.model_validate({"sync": rules})
    except ValidationError as error:
        problems += [f"{_as_variable(location)} {problem}" for location, problem in problems_of(error, Settings)]
    if problems:
        raise ConfigurationError(problems)
    return settings


def sync_toml() -> Path:
    """Path of sync.toml: SYNC_CONFIG, else the file in this package."""
    return Path(os.environ.get("SYNC_CONFIG") or DEFAULT_SYNC_TOML)


def load_rules(consumed: Collection[str] = ()) -> SyncRules:
    """Load sync.toml alone. Raises ConfigurationError with every problem."""
    path = sync_toml()
    try:
        return rules_in(path.read_text(encoding="utf-8"), path.name, consumed)
    except OSError:
        raise ConfigurationError([f"sync.toml can't be read: SYNC_CONFIG, or its default, is {path}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path.name} is not TOML: {error}"]) from None


def rules_in(text: str, name: str, consumed: Collection[str] = ()) -> SyncRules:
    """Parse the text of a sync.toml; problems refer to it by `name`. Raises ConfigurationError with every problem."""
    try:
        return SyncRules.model_validate(tomllib.loads(text), context={CONSUMED: consumed})
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{name} is not TOML: {error}"]) from None
    except ValidationError as error:
        raise ConfigurationError(
            [f"{name}: {_as_toml_key(location)} {problem}" for location, problem in problems_of(error, SyncRules)]
        ) from None


def _as_variable(path: Location) -> str:
    name = str(path[0]).upper()
    return f"{name} ({'.'.join(map(str, path[1:]))})" if len(path) > 1 else name


def _as_toml_key(path: Location) -> str:
    """The key in sync.toml, such as `customer.clear, entry 1`."""
    return "".join(f", entry {part + 1}" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
