"""The dead-letter topic of the page: takes what the function publishes, as Pub/Sub would over gRPC."""

import itertools
from collections.abc import Callable, Mapping
from concurrent import futures
from types import TracebackType
from typing import Any, Self

TOPIC = "projects/sandbox/topics/dead-letters"

Publish = Callable[[str, Mapping[str, str]], None]
"""Takes the id of the message that became a letter, and the letter's attributes."""

_THREADS = 2


class DeadLetterTopic:
    """A Publisher service on a loopback port that the system chose. A context manager."""

    def __init__(self, published: Publish) -> None:
        # gRPC takes a third of a second to import: only the page needs it.
        import grpc  # noqa: PLC0415
        from google.pubsub_v1 import types  # noqa: PLC0415

        self._published = published
        self._numbers = itertools.count(1)
        self._answer = types.PublishResponse
        method = grpc.unary_unary_rpc_method_handler(
            self._publish,
            request_deserializer=types.PublishRequest.deserialize,
            response_serializer=types.PublishResponse.serialize,
        )
        self._server = grpc.server(futures.ThreadPoolExecutor(_THREADS))
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", {"Publish": method}),)
        )
        self._port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def environment(self) -> dict[str, str]:
        """What makes the function publish its letters here."""
        return {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{self._port}", "DEAD_LETTER_TOPIC": TOPIC}

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stop(None).wait()

    def _publish(self, request: Any, _context: Any) -> Any:
        for message in request.messages:
            attributes = dict(message.attributes)
            self._published(attributes.get("message_id", ""), attributes)
        return self._answer(message_ids=[str(next(self._numbers)) for _ in request.messages])
