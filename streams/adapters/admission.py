"""What a release says of an adapter, from its folder, once everything about it is in order that can be seen there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from streams.adapters.locations import absolute, local_folder
from streams.errors import UsageError
from trainer.base_model import BaseModel, BaseModelError
from trainer.deciders.language.served import CALIBRATION
from trainer.deciders.vllm.adapters import check_adapter
from trainer.deciders.vllm.errors import AdapterError
from trainer.deciders.vllm.settings import ADAPTABLE
from twin_store.messages import AdapterVersion


def admitted(
    location: str, base: Path | None, rank_max: int, decider: Literal["vllm", "openai"]
) -> AdapterVersion:
    """The version in a folder. Without the base it fits no check is made against one; workers make them all.

    Raises:
        UsageError: with the first thing against it.
    """
    try:
        model = BaseModel.read(base) if base is not None else None
        with local_folder(location) as folder:
            adapter = check_adapter(folder, model, rank_max, ADAPTABLE)
    except FileNotFoundError as error:
        raise UsageError(
            f"{error}; FOLDER is a version of the registry, such as MODELS/vllm/SEGMENT/VERSION"
        ) from None
    except (AdapterError, BaseModelError, OSError) as error:
        raise UsageError(f"{location} would be refused: {error}") from None
    return AdapterVersion(
        decider=decider,
        decider_version=adapter.name.rsplit("/", 1)[-1],
        name=adapter.name,
        location=absolute(location),
        sha256=adapter.sha256,
        base_model=adapter.base_model,
        calibration=adapter.files.get(CALIBRATION),
    )


def segment_in(name: str) -> str:
    """The segment that an adapter was published for, from its name, `vllm/SEGMENT/VERSION`."""
    return name.split("/", 1)[-1].rsplit("/", 1)[0]
