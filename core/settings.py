"""Settings: the environment, which says where the backends are and holds their keys, and sync.toml beside it."""

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
from core.setting_errors import Place, like, problems_of

DEFAULT_SYNC_TOML = Path(__file__).parents[1] / "sync.toml"


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
        raise ValueError(
            "must be a URL such as https://api.example.com;"
            " http:// is for this machine only (localhost, 127.0.0.1, [::1])"
        )
    return url.rstrip("/")


_QUOTED = re.compile(r"""\s*(['"])(.*)\1\s*""", re.DOTALL)
_ESCAPED = re.compile(r'\s*"(?:[^"\\]|\\.)*"\s*', re.DOTALL)


def _unquoted(value: str) -> str:
    """A value without quotes around it. In double quotes a backslash stands before those inside, if before any."""
    quoted = _QUOTED.fullmatch(value)
    if not quoted:
        return value
    return re.sub(r'\\(["\\])', r"\1", quoted[2]) if _ESCAPED.fullmatch(quoted[0]) else quoted[2]


_TO_FILL_IN = "is still what .env.example has: put the real one there"
_KEY_TO_FILL_IN = "pk_..."

BackendUrl = Annotated[str, AfterValidator(_without_eavesdroppers)]
"""https, or http to a loopback host; without a slash at the end."""


class Settings(BaseSettings):
    """The environment; `sync` holds sync.toml. Made by `load_settings`."""

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
    """Part of Klaviyo's rate limits that is this instance's: one divided by the number of instances."""
    dead_letter_topic: Annotated[str, like(r"projects/[^/]+/topics/[^/]+", "projects/P/topics/T")] | None = None
    k_service: str | None = None
    """Set by Cloud Run, where IAM checks who calls."""
    push_audience: Annotated[str, like(r"\S+", "https://sync.shop.example/")] | None = None
    push_service_account: Annotated[str, like(r"[^@\s]+@[^@\s]+", "push@p.iam.gserviceaccount.com")] | None = None
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
        if key == _KEY_TO_FILL_IN:
            raise ValueError(_TO_FILL_IN)
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
        if "..." in parsed.values():
            raise ValueError(_TO_FILL_IN)
        return parsed

    @field_validator("app_type")
    @classmethod
    def _event_only(cls, value: str | None) -> str | None:
        if value not in (None, "EVENT"):
            raise ValueError("must be EVENT or unset: the shop's past is loaded with `python3 manage.py backfill`")
        return value

    @field_validator("push_service_account")
    @classmethod
    def _with_an_audience(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "push_audience" not in info.data:
            return value  # it is wrong, and said to be
        audience = info.data["push_audience"]
        if info.data["k_service"] and (audience or value):
            raise ValueError(
                "and PUSH_AUDIENCE must be left out on Cloud Run (K_SERVICE is set):"
                " IAM checks who calls, and the token arrives without its signature"
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


def names_scope(scopes: Collection[str], scope: str) -> bool:
    """Whether scopes, as CT_SCOPE names them, hold this one, e.g. `view_standalone_prices`, or one that includes it."""
    what = scope.removeprefix("view_").removeprefix("published_")
    return not {scope, f"manage_{what}", "manage_project"}.isdisjoint(named.partition(":")[0] for named in scopes)


def load_settings(consumed: Collection[str] = ()) -> Settings:
    """The settings of this process, from the environment and sync.toml.

    `consumed` are the keys of all messages that handlers are registered for, as sync.toml may name no others. Raises
    ConfigurationError, which lists every problem of both files and never shows a value of the environment.
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
        problems += [f"{_in_environment(place)} {said}" for place, said in problems_of(error, Settings)]
    if problems:
        raise ConfigurationError(problems)
    return settings


def sync_toml() -> Path:
    """The sync.toml of this process: SYNC_CONFIG, else the one that comes with the package."""
    return Path(os.environ.get("SYNC_CONFIG") or DEFAULT_SYNC_TOML)


def load_rules(consumed: Collection[str] = ()) -> SyncRules:
    """What sync.toml says; nothing else of the environment is needed. Raises ConfigurationError with every problem."""
    path = sync_toml()
    try:
        return rules_in(path.read_text(encoding="utf-8"), path.name, consumed)
    except OSError:
        raise ConfigurationError([f"SYNC_CONFIG names {path}, which can't be read"]) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path.name} is not TOML: {error}"]) from None


def rules_in(text: str, name: str, consumed: Collection[str] = ()) -> SyncRules:
    """What the text of a sync.toml says; `name` is what problems call it. Raises ConfigurationError with each."""
    try:
        return SyncRules.model_validate(tomllib.loads(text), context={CONSUMED: consumed})
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{name} is not TOML: {error}"]) from None
    except ValidationError as error:
        raise ConfigurationError(
            [f"{name}: {_in_toml(place)} {said}" for place, said in problems_of(error, SyncRules)]
        ) from None


def _in_environment(path: Place) -> str:
    name = str(path[0]).upper()
    return f"{name} ({'.'.join(map(str, path[1:]))})" if len(path) > 1 else name


def _in_toml(path: Place) -> str:
    """`customer.clear, entry 1`."""
    return "".join(f", entry {part + 1}" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
