"""Names of topics and subscriptions, as options take them: `--topic projects/P/topics/T`."""

import re
from typing import Any

import click


class PubSubName(str):
    """The whole name of a topic or subscription, `projects/PROJECT/topics/TOPIC`."""

    __slots__ = ()

    @property
    def project(self) -> str:
        """The id of its project."""
        return self.split("/")[1]

    @property
    def short(self) -> str:
        """The name within the project."""
        return self.split("/")[3]


class _NameOf(click.ParamType[PubSubName]):
    """Takes whole names of one kind and nothing else."""

    def __init__(self, one: str) -> None:
        self.name = one
        self._form = re.compile(rf"projects/[^/\s]+/{one}s/[^/\s]+")

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """The form, shortly."""
        return f"projects/P/{self.name}s/{self.name[0].upper()}"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> PubSubName:
        """The name; fails with the form that it must have."""
        if not self._form.fullmatch(value):
            self.fail(f"it has the form projects/PROJECT/{self.name}s/{self.name.upper()}", param, ctx)
        return PubSubName(value)


TOPIC = _NameOf("topic")
SUBSCRIPTION = _NameOf("subscription")
