"""Fast twins of the message models: msgspec structs derived from the pydantic ones, for the hot lane.

The pydantic model stays the contract. The struct checks the same types, lengths and ranges; two checks are
left to whoever reads it, because they cost too much per value here: the money pattern and the model validators.
"""

import types
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import msgspec
from pydantic import BaseModel


@cache
def struct_for(model: type[BaseModel], only: tuple[str, ...] = ()) -> type[msgspec.Struct]:
    """The msgspec struct with the fields, defaults and constraints of a pydantic model.

    `only` names the fields that the reader needs, if not all: the others are skipped without being checked.
    """
    fields: list[Any] = []
    for name, info in model.model_fields.items():
        if only and name not in only:
            continue
        annotation = _constrained(_translate(info.annotation), info.metadata)
        if info.is_required():
            fields.append((name, annotation))
        else:
            default = info.get_default(call_default_factory=True)
            fields.append((name, annotation, _default_of(default)))
    return msgspec.defstruct(model.__name__, fields, frozen=True, gc=False, kw_only=True, omit_defaults=False)


def _default_of(default: Any) -> Any:
    if isinstance(default, list):
        return ()
    if isinstance(default, dict):
        return msgspec.field(default_factory=dict)
    if isinstance(default, BaseModel):
        struct = struct_for(type(default))
        return msgspec.field(default_factory=struct)
    return default


def _translate(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        return _constrained(_translate(inner), metadata)
    if origin in (Union, types.UnionType):
        return Union[tuple(_translate(arg) for arg in get_args(annotation))]  # noqa: UP007 - built at run time
    if origin is list:
        # A tuple: an absent list is then the one empty tuple instead of a new list a line.
        return tuple[_translate(get_args(annotation)[0]), ...]  # type: ignore[misc]
    if origin is dict:
        key, value = get_args(annotation)
        return dict[_translate(key), _translate(value)]  # type: ignore[misc]
    if origin is Literal:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return struct_for(annotation)
    if annotation is not None and getattr(annotation, "__name__", "") == "AwareDatetime":
        return Annotated[datetime, msgspec.Meta(tz=True)]
    return annotation


def _constrained(annotation: Any, metadata: Iterable[Any]) -> Any:
    limits: dict[str, Any] = {}
    for item in _flat(metadata):
        match item:
            case annotated_types.Ge():
                limits["ge"] = item.ge
            case annotated_types.Le():
                limits["le"] = item.le
            case annotated_types.MinLen():
                limits["min_length"] = item.min_length
            case annotated_types.MaxLen():
                limits["max_length"] = item.max_length
    return Annotated[annotation, msgspec.Meta(**limits)] if limits else annotation


def _flat(metadata: Iterable[Any]) -> Iterable[Any]:
    for item in metadata:
        if isinstance(item, annotated_types.GroupedMetadata):
            yield from item
        elif hasattr(item, "metadata") and not isinstance(item, annotated_types.BaseMetadata):
            yield from _flat(item.metadata)
        else:
            yield item
