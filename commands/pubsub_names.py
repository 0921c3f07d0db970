"""Option types for full names of topics and subscriptions: `--topic projects/P/topics/T`.

With `PROJECT_ID` in the environment, as `deploy.sh` has it, the short name is enough: `--topic T`.
"""

import os
import re
from typing import Any

import click


class PubSubName(str):
    """The full name of a topic or subscription, `projects/PROJECT/topics/TOPIC`."""

    __slots__ = ()

    @property
    def project(self) -> str:
        """The project id."""
        return self.split("/")[1]

    @property
    def short(self) -> str:
        """The name within the project."""
        return self.split("/")[3]


class _PubSubNameType(click.ParamType[PubSubName]):
    """Accepts names of one kind, `topic` or `subscription`."""

    def __init__(self, kind: str) -> None:
        self.name = kind
        self._full_form = re.compile(rf"projects/[^/\s]+/{kind}s/[^/\s]+")
        self._short_form = re.compile(r"[^/\s]+")

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """The form, abbreviated: `projects/P/topics/T`."""
        return f"projects/P/{self.name}s/{self.name[0].upper()}"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> PubSubName:
        """The full name. A name of another form is a usage error that shows the right one."""
        project = os.environ.get("PROJECT_ID")
        name = f"projects/{project}/{self.name}s/{value}" if project and self._short_form.fullmatch(value) else value
        if not self._full_form.fullmatch(name):
            self.fail(f"must have the form projects/PROJECT/{self.name}s/{self.name.upper()}", param, ctx)
        return PubSubName(name)


TOPIC = _PubSubNameType("topic")
SUBSCRIPTION = _PubSubNameType("subscription")
