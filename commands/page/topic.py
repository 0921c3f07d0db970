"""The page's dead-letter topic: receives what the function publishes, over gRPC like Pub/Sub."""

import itertools
from collections.abc import Callable, Mapping
from concurrent import futures
from types import TracebackType
from typing import Any, Self

TOPIC = "projects/sandbox/topics/dead-letters"

OnPublish = Callable[[str, Mapping[str, str]], None]
"""Called with the id of the original message and the attributes of the dead letter."""

_THREADS = 2


class DeadLetterTopic:
    """A Pub/Sub Publisher service on a free loopback port. A context manager."""

    def __init__(self, on_publish: OnPublish) -> None:
        # Importing gRPC takes a third of a second, and only the page needs it.
        import grpc  # noqa: PLC0415
        from google.pubsub_v1 import types  # noqa: PLC0415

        self._on_publish = on_publish
        self._message_ids = itertools.count(1)
        self._response_type = types.PublishResponse
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
        """Environment variables that make the function publish its dead letters here."""
        return {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{self._port}", "DEAD_LETTER_TOPIC": TOPIC}

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stop(None).wait()

    def _publish(self, request: Any, _context: Any) -> Any:
        for message in request.messages:
            attributes = dict(message.attributes)
            self._on_publish(attributes.get("message_id", ""), attributes)
        return self._response_type(message_ids=[str(next(self._message_ids)) for _ in request.messages])
