"""What those who release adapters ask of a model that can take them, in this process or behind HTTP."""

from pathlib import Path
from typing import Protocol


class AdapterHost(Protocol):
    """Takes adapters in and lets them go. Calls wait until it is done; they come from one thread.

    Every call raises `ModelUnavailable` while there is no model.
    """

    @property
    def decider(self) -> str:
        """The kind of decider whose adapters it takes, as releases have it: `vllm` or `openai`."""

    @property
    def model(self) -> object | None:
        """Which model there is now, None while there is none: another object is one that has no adapters yet."""

    def add_adapter(self, name: str, folder: Path | None, sha256: str) -> None:
        """Have questions find an adapter under a name, beside the others; nothing happens if they do.

        `folder` holds the adapter whose manifest has this hash; None where the model has it already.

        Raises:
            AdapterError: it is refused, and everything else goes on.
        """

    def remove_adapter(self, name: str) -> None:
        """Let the questions at an adapter finish and take no more. Nothing happens if it is not there."""

    def pin_adapter(self, name: str) -> None:
        """Keep it in memory. Raises `ValueError` if too many are pinned."""

    def unpin_adapter(self, name: str) -> None:
        """Let it leave memory again."""
