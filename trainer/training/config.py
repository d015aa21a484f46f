"""How a training is set up: TOML files for kinds of machines, one table a stage, each value with a default in code."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Self

from trainer.fit_evidence import Effort
from trainer.training.base import Pace
from trainer.training.corpus import CptPace
from trainer.training.grpo import GrpoPace
from trainer.training.sft import SftPace
from twin_store.messages.decisions import QuestionKind

DEFAULT = "cpu-tiny"
NAMES = (DEFAULT, "one-gpu", "several-gpus")
_FOLDER = "trainer.training.configs"


class ConfigError(ValueError):
    """A set-up that cannot be used; the message names the place."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides what a training does, beside the data.

    Attributes:
        kinds: the question kinds that are learnt.
        silent: sections of the prompt that the model is not shown (`Buckets.silent`).
        numbers: of the evidence on a question, so many are shown, the most telling ones.
        teacher_share: of a base's targets, the teacher's part; the truth has the rest.
        effort: how many cases are drawn, of all customers.
        cpt, grpo: left out where `steps` is 0.
    """

    kinds: tuple[QuestionKind, ...] = ("purchase",)
    silent: tuple[str, ...] = ("dna",)
    numbers: int = 64
    size: str = "tiny"
    teacher_share: float = 0.7
    effort: Effort = field(default_factory=Effort)
    base: Pace = field(default_factory=lambda: Pace(steps=1_000))
    cpt: CptPace = field(default_factory=CptPace)
    sft: SftPace = field(default_factory=SftPace)
    grpo: GrpoPace = field(default_factory=GrpoPace)

    @classmethod
    def named(cls, name: str) -> Self:
        """One of `NAMES`, or the TOML file at a path.

        Raises:
            ConfigError: there is none, or it says what no stage has.
        """
        if name in NAMES:
            text = (resources.files(_FOLDER) / f"{name}.toml").read_text()
        else:
            try:
                text = Path(name).read_text(encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"no set-up {name!r}: there are {', '.join(NAMES)}, and {error}") from None
        return cls.from_toml(text)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """What a TOML file says, the rest as in code. Raises `ConfigError`."""
        try:
            found = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"no TOML: {error}") from None
        return cls()._with(found, "")

    def times(self, factor: float) -> Self:
        """So many times the cases and the steps of every stage, at least one."""

        def fewer(steps: int) -> int:
            return max(1, round(steps * factor)) if steps else 0

        return replace(
            self,
            effort=self.effort.times(factor),
            base=replace(self.base, steps=fewer(self.base.steps)),
            cpt=replace(self.cpt, steps=fewer(self.cpt.steps)),
            sft=replace(self.sft, steps=fewer(self.sft.steps)),
            grpo=replace(self.grpo, steps=fewer(self.grpo.steps)),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, to be kept with a run."""
        return asdict(self)

    def _with(self, found: dict[str, Any], place: str) -> Self:
        changed: dict[str, Any] = {}
        for key, value in found.items():
            if key not in {each.name for each in fields(self)}:
                raise ConfigError(f"{place}{key}: there is no such setting")
            old = getattr(self, key)
            if isinstance(value, dict):
                changed[key] = _part(old, value, f"{place}{key}.")
            elif isinstance(value, list) == isinstance(old, tuple):
                changed[key] = tuple(value) if isinstance(value, list) else value
            else:
                raise ConfigError(f"{place}{key}: {value!r} is no {type(old).__name__}")
        return replace(self, **changed)


def _part(old: Any, found: dict[str, Any], place: str) -> Any:
    known = {each.name for each in fields(old)}
    for key, value in found.items():
        if key not in known:
            raise ConfigError(f"{place}{key}: there is no such setting")
        was = getattr(old, key)
        fits = isinstance(value, int | float) if isinstance(was, float) else isinstance(value, type(was))
        if not fits:
            raise ConfigError(f"{place}{key}: {value!r} is no {type(was).__name__}")
    return replace(old, **found)
