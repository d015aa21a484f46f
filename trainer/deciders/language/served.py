"""Who answers for a segment: an adapter by the name that the model knows it by, or the base; and what makes that hold.

What an adapter says is calibrated with what was fitted on its own answers, and it is shown numbers in the buckets that
it was trained with. Both are files of its version, so a swap never mixes those of two versions. A base that was trained
on decisions has the same files in its folder.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, get_args

import numpy as np

from trainer.calibration import Curve, Temperature
from trainer.newton import log_odds
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts import Buckets, BucketsError

# In the adapter's folder, listed in its manifest, or in the base's.
CALIBRATION, BUCKETS = "calibration.json", "buckets.json"
FORMAT = 1
OPTIONS: tuple[QuestionKind, ...] = ("basket_completion", "trip_choice", "survey")  # one of them is true
IN_WORDS: tuple[QuestionKind, ...] = ("survey", "review")  # no numbers answer these
NO_BUCKETS = Buckets({})  # only numbers that are yes or no are told
LEAST = 1e-12  # of a probability that becomes a score: a model may be so sure that the other side underflows
_TYPES: dict[str, type[Curve] | type[Temperature]] = {"curve": Curve, "temperature": Temperature}


@dataclass(frozen=True)
class ServedBase:
    """The base, which segments without an adapter are answered by.

    Attributes:
        calibration: by kind; empty for a model that was not trained on decisions here, which is told as it says.
        buckets: those of its training data.
    """

    calibration: Mapping[QuestionKind, Curve | Temperature] = field(default_factory=dict)
    buckets: Buckets = NO_BUCKETS

    @classmethod
    def of_files(cls, files: Mapping[str, bytes]) -> Self:
        """With what these files of its folder say. Raises `ValueError` as `ServedAdapter.of_files`."""
        return cls(*_read(files))

    def may_answer(self, kind: QuestionKind) -> bool:
        """Whether it was trained on this kind of question; one that was trained on none here may be good at any."""
        return not self.calibration or kind in self.calibration or kind in IN_WORDS


@dataclass(frozen=True)
class ServedAdapter:
    """An adapter that a segment's questions go to.

    Attributes:
        name: what the model calls it.
        version: immutable, as the registry has it.
        calibration: by kind; kinds that are not in it are told as the model says them.
        buckets: those of its training data.
        kinds: those that it was published for; None: all. What no numbers answer is not judged, and it answers that.
    """

    segment: str
    name: str
    version: str
    calibration: Mapping[QuestionKind, Curve | Temperature] = field(default_factory=dict)
    buckets: Buckets = NO_BUCKETS
    kinds: frozenset[str] | None = None

    @classmethod
    def of_files(
        cls,
        segment: str,
        name: str,
        version: str,
        files: Mapping[str, bytes],
        kinds: frozenset[str] | None = None,
    ) -> Self:
        """With what the files of its version say; a file that is not there says nothing.

        Raises:
            ValueError: one of them is not what its name says.
        """
        return cls(segment, name, version, *_read(files), kinds)

    def may_answer(self, kind: QuestionKind) -> bool:
        """Whether it was published for this kind of question."""
        return self.kinds is None or kind in self.kinds or kind in IN_WORDS

    @property
    def label(self) -> str:
        """As predictions have it."""
        return f"{self.name}@{self.version}"


Router = Callable[[str, str], ServedAdapter | None]
"""Who answers a customer of a segment: (segment, customer_id); None is the base."""


def calibrated(
    calibration: Mapping[QuestionKind, Curve | Temperature], kind: QuestionKind, raw: Sequence[float]
) -> list[float]:
    """Probabilities that hold, from those that the model said: one a candidate, or those of all options together."""
    fitted = calibration.get(kind)
    if fitted is None or not raw:
        return list(raw)
    said = np.asarray(raw, dtype=np.float64)
    if isinstance(fitted, Temperature):
        scores = np.log(np.clip(said, LEAST, 1 - LEAST))
        return [float(p) for p in fitted.apply(scores, np.zeros(len(said), dtype=np.int64))]
    return [float(p) for p in fitted.apply(log_odds(said, LEAST))]


def calibration_to_json(calibration: Mapping[QuestionKind, Curve | Temperature]) -> bytes:
    """For `CALIBRATION` in the adapter's folder; always the same for the same calibration."""
    kinds = {
        kind: {"temperature" if isinstance(fitted, Temperature) else "curve": fitted.to_json()}
        for kind, fitted in calibration.items()
    }
    return json.dumps({"format": FORMAT, "kinds": kinds}, sort_keys=True).encode()


def calibration_from_json(content: bytes) -> dict[QuestionKind, Curve | Temperature]:
    """Inverse of `calibration_to_json`.

    Raises:
        ValueError: it is no such JSON, or has a kind that is not calibrated in this way.
    """
    try:
        read = json.loads(content)
        if read["format"] != FORMAT:
            raise ValueError(f"format {read['format']}; this code reads {FORMAT}")
        return dict(_fitted(kind, said) for kind, said in read["kinds"].items())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{CALIBRATION}: {type(error).__name__}: {error}") from None


def _read(files: Mapping[str, bytes]) -> tuple[dict[QuestionKind, Curve | Temperature], Buckets]:
    calibration = calibration_from_json(files[CALIBRATION]) if CALIBRATION in files else {}
    try:
        return calibration, Buckets.from_json(files[BUCKETS]) if BUCKETS in files else NO_BUCKETS
    except BucketsError as error:
        raise ValueError(f"{BUCKETS}: {error}") from None


def _fitted(kind: str, said: Mapping[str, dict[str, object]]) -> tuple[QuestionKind, Curve | Temperature]:
    ((name, numbers),) = said.items()
    for known in get_args(QuestionKind):
        if known == kind and (name == "temperature") == (known in OPTIONS):
            return known, _TYPES[name].from_json(numbers)
    raise ValueError(f"a {kind} is not calibrated by a {name}")
