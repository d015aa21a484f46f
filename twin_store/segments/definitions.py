"""What the segments are: versioned data, read from a TOML file and checked as a whole.

A published version never changes, since adapters are trained on the twins that it put together: change a threshold
in a file of the next version.
"""

import re
import tomllib
from functools import cache, cached_property
from importlib import resources
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twin_store.messages.codec import place_of
from twin_store.segments.numbers import NEEDS_CATALOGUE, NUMBER_NAMES, PERIODS_MAX

CURRENT = "personas-1"
VERSIONED_NAME = re.compile(r"[a-z][a-z0-9-]*-[1-9][0-9]*")
_FOLDER = "twin_store.segments"
_PART = ConfigDict(frozen=True, extra="forbid")

Threshold = Annotated[float, Field(strict=True, allow_inf_nan=False)]
SegmentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
SegmentText = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f<>|\[\]{}`\"]+$")]


class SegmentDefinitionError(ValueError):
    """Definitions of segments that cannot be used; the message names the place and what is wrong there."""


class Rule(BaseModel):
    """What a number must be: at or above a threshold, or at or below it. A missing number holds no rule.

    Attributes:
        enter: the threshold for a twin that comes in.
        leave: the one for a twin that is in: it may stray so far before it goes out.
    """

    model_config = _PART

    number: str
    side: Literal["above", "below"]
    enter: Threshold
    leave: Threshold

    @model_validator(mode="after")
    def _is_of_a_known_number_and_keeps_who_strays(self) -> Self:
        if self.number not in NUMBER_NAMES:
            raise ValueError(f"there is no number {self.number!r}; there are {', '.join(NUMBER_NAMES)}")
        if self.side == "above" and self.leave >= self.enter:
            raise ValueError(f"leave must be less than enter for {self.number} above {self.enter:g}")
        if self.side == "below" and self.leave <= self.enter:
            raise ValueError(f"leave must be greater than enter for {self.number} below {self.enter:g}")
        return self


class Segment(BaseModel):
    """A segment. `text` is what a prompt says of whoever is in it.

    Attributes:
        rules: all of them must hold.
        life_stages: where any are named, the life stage given for her must be one of them.
    """

    model_config = _PART

    name: SegmentName
    text: SegmentText
    rules: tuple[Rule, ...] = ()
    life_stages: tuple[str, ...] = ()


class Fallback(BaseModel):
    """The segment of those with too little history: first seen less than `until_days` ago, or never."""

    model_config = _PART

    name: SegmentName
    text: SegmentText
    until_days: Annotated[int, Field(gt=0, le=371)]


class Rules(NamedTuple):
    """The rules for compiled code, in order of their segments. Segment 0 is the fallback.

    Attributes:
        segment, number: int64 [R], the rule's segment and the column of its number.
        sign: float64 [R], 1 for at or above, -1 for at or below.
        enter, leave: float64 [R].
        until_days: below this tenure everybody is in segment 0.
    """

    segment: np.ndarray
    number: np.ndarray
    sign: np.ndarray
    enter: np.ndarray
    leave: np.ndarray
    until_days: float


class Definitions(BaseModel):
    """A version of the segments, in the order in which they are tried; the last takes whoever is left.

    Attributes:
        window: periods of 28 days that a number covers.
        memory: at how many ends of periods, up to the newest, a membership is worked out.
    """

    model_config = _PART

    name: str
    version: Annotated[int, Field(gt=0)]
    window: Annotated[int, Field(gt=0)]
    memory: Annotated[int, Field(gt=1)]
    fallback: Fallback
    segments: Annotated[tuple[Segment, ...], Field(min_length=1, max_length=1_000)]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if VERSIONED_NAME.fullmatch(self.name) is None or not self.name.endswith(f"-{self.version}"):
            raise ValueError(f"the name {self.name!r} must end in its version, -{self.version}")
        if self.window + self.memory > PERIODS_MAX:
            raise ValueError(f"window and memory add up to more than the {PERIODS_MAX} periods a twin holds")
        if len(set(self.names)) < len(self.names):
            raise ValueError("two segments have one name")
        for segment in self.segments[:-1]:
            if not segment.rules and not segment.life_stages:
                raise ValueError(f"{segment.name} has no rule: only the last may take whoever is left")
        if self.segments[-1].rules or self.segments[-1].life_stages:
            raise ValueError(f"{self.segments[-1].name} is the last and must take whoever is left: no rules")
        return self

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Definitions from the text of a TOML file.

        Raises:
            SegmentDefinitionError: naming the first thing that is wrong.
        """
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise SegmentDefinitionError(f"no TOML: {error}") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = place_of(first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            raise SegmentDefinitionError(f"{place}: {reason}" if place else reason) from None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The segments' names, the fallback's first."""
        return (self.fallback.name, *(segment.name for segment in self.segments))

    @cached_property
    def needs_catalogue(self) -> bool:
        """Whether a rule reads what only the catalogue knows."""
        return any(rule.number == NEEDS_CATALOGUE for segment in self.segments for rule in segment.rules)

    def segment(self, name: str) -> Segment | Fallback:
        """The segment of that name. Raises `KeyError` if there is none."""
        if name == self.fallback.name:
            return self.fallback
        return {segment.name: segment for segment in self.segments}[name]

    def open_to(self, life_stage: str | None) -> np.ndarray:
        """Which segments a life stage lets into: bool [segments], read only; None into those that name none."""
        found = self._open_by_life_stage.get(life_stage)
        return self._open_by_life_stage[None] if found is None else found

    @cached_property
    def _open_by_life_stage(self) -> dict[str | None, np.ndarray]:
        named = [segment.life_stages for segment in self.segments]
        return {
            life_stage: np.array([True, *(not stages or life_stage in stages for stages in named)])
            for life_stage in (None, *(stage for stages in named for stage in stages))
        }

    @cached_property
    def rules(self) -> Rules:
        """The rules for compiled code."""
        rules = [(at, rule) for at, segment in enumerate(self.segments, start=1) for rule in segment.rules]
        return Rules(
            np.array([at for at, _ in rules], dtype=np.int64),
            np.array([NUMBER_NAMES.index(rule.number) for _, rule in rules], dtype=np.int64),
            np.array([1.0 if rule.side == "above" else -1.0 for _, rule in rules]),
            np.array([rule.enter for _, rule in rules]),
            np.array([rule.leave for _, rule in rules]),
            float(self.fallback.until_days),
        )


@cache
def load_definitions(name: str = CURRENT) -> Definitions:
    """The definitions of a shipped version.

    Raises:
        SegmentDefinitionError: there is none of that name, or its file is wrong.
    """
    folder = resources.files(_FOLDER)
    shipped = sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )
    if name not in shipped:
        raise SegmentDefinitionError(f"there are no segments {name!r}; there are {', '.join(shipped)}")
    found = Definitions.from_toml(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    if found.name != name:
        raise SegmentDefinitionError(f"{name}.toml holds segments of the name {found.name!r}")
    return found
