"""Bytes to the fast twin of a message, with the contract's error where they do not fit."""

from typing import Any, Generic, TypeVar, cast

import msgspec

from twin_store.messages import Message
from twin_store.messages.codec import BadMessage, decode
from twin_store.messages.wire import struct_for

M = TypeVar("M", bound=Message)


class FastDecoder(Generic[M]):
    """Decodes one kind of message. What it gives has the fields of the model, lists as tuples.

    `only` names the fields that are needed, `version` among them, if not all: the others are skipped unchecked.
    """

    def __init__(self, model: type[M], only: tuple[str, ...] = ()) -> None:
        self._model = model
        self._decode = msgspec.json.Decoder(struct_for(model, only)).decode
        self._major = model.current_version.partition(".")[0]

    def __call__(self, value: bytes | None) -> M:
        """The message. Raises `BadMessage`, naming the place."""
        try:
            found: Any = self._decode(value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            decode(self._model, value)  # says what is wrong, and where
            raise BadMessage(str(error)) from None
        if found.version.partition(".")[0] != self._major:
            raise BadMessage(
                f"unknown major version {found.version!r}; this reader knows {self._major}.x", "version"
            )
        return cast(M, found)
