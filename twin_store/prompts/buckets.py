"""Lines of evidence, `days since bought: 10 to 14`: a number's label and which of sixteen buckets its value is in.

The edges are quantiles of training data and travel with the adapter that was trained on them. A line is then one of
seventeen texts (`unknown` is the last), so that a tokenizer can have one token for each.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from twin_store.evidence import Fact
from twin_store.messages.decisions import QuestionKind
from twin_store.prompts.families import FAMILIES, FAMILY_OF, Family

FORMAT = 1  # of the prompts as a whole: an adapter answers the form that it was trained on
BUCKETS = 16
DIGITS = 3  # that count of an edge: what is written is exactly where the bucket ends
UNKNOWN = "unknown"
SECTIONS = ("segment", "dna", "environment")  # of a prompt, which a model may be trained without
YES_NO_UNIT = "yes/no"
EDGE_MAX = 1e15
_HALF = (0.5,)


class BucketsError(ValueError):
    """Edges that cannot be used; the message names the place."""


class _Written(NamedTuple):
    """How one number is written: `texts[i]` is the line of bucket i, the last one of a missing value."""

    column: int
    name: str
    edges: tuple[float, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Buckets:
    """Edges by family of evidence and name of number, ascending, at most `BUCKETS - 1` of them.

    A value is in the bucket whose lower edge it has reached. A number that never varied in training has no edges: it
    tells nothing, and no line is written of it. Numbers that are yes or no need none.

    Attributes:
        edges: see above.
        silent: of `SECTIONS`, those that the model was trained without; prompts leave them out.
    """

    edges: Mapping[str, Mapping[str, tuple[float, ...]]]
    silent: tuple[str, ...] = ()

    @classmethod
    def fit(cls, tables: Mapping[QuestionKind, np.ndarray]) -> Self:
        """Quantiles of training data.

        Args:
            tables: evidence by question kind, [n, F] with the columns of `EVIDENCE_NAMES[kind]`, NaN where missing;
                kinds of one family are taken together.

        Raises:
            ValueError: a table has another number of columns.
        """
        stacked: dict[str, list[np.ndarray]] = {}
        for kind, table in tables.items():
            family = FAMILY_OF[kind]
            if table.ndim != 2 or table.shape[1] != len(family.facts):
                raise ValueError(f"evidence on {kind} has {len(family.facts)} columns; this is {table.shape}")
            stacked.setdefault(family.name, []).append(table)
        return cls({name: _fitted(FAMILIES[name], parts) for name, parts in stacked.items()})

    def most_telling(self, count: int) -> "Buckets":
        """With the edges of the `count` most telling numbers of each family alone: of the others no line is written."""
        kept = {
            name: {fact: edges for fact, edges in found.items() if fact in FAMILIES[name].usefulness[:count]}
            for name, found in self.edges.items()
        }
        return Buckets(kept, self.silent)

    def lines(self, family: Family, row: Sequence[float]) -> list[tuple[str, str]]:
        """(name, line) of each number that has a line, in the order of the columns.

        Args:
            row: a value a column, NaN where missing.
        """
        return [
            (each.name, each.texts[-1 if math.isnan(value) else bisect_right(each.edges, value)])
            for each in self._written[family.name]
            for value in (row[each.column],)
        ]

    def vocabulary(self) -> list[str]:
        """Every line that can be written, each once, sorted."""
        return sorted({text for written in self._written.values() for each in written for text in each.texts})

    def ladders(self) -> list[tuple[str, ...]]:
        """The lines of each number in the order of its buckets, what is unknown last; families one after the other."""
        return [each.texts for written in self._written.values() for each in written]

    def is_silent(self, key: str) -> bool:
        """Whether the lines of a key are left out of every prompt."""
        return key.partition(".")[0] in self.silent

    def to_json(self) -> str:
        """The edges as JSON, always the same for the same edges."""
        said: dict[str, Any] = {
            "format": FORMAT,
            "edges": {name: dict(by) for name, by in self.edges.items()},
        }
        if self.silent:
            said["silent"] = list(self.silent)
        return json.dumps(said, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Inverse of `to_json`.

        Raises:
            BucketsError: it is no such JSON, or of another format, or of numbers that this code does not give.
        """
        try:
            found = json.loads(text)
        except ValueError as error:
            raise BucketsError(f"no JSON: {error}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise BucketsError(f"not of prompt format {FORMAT}: fitted by another version of this code")
        families = found.get("edges")
        if not isinstance(families, dict):
            raise BucketsError("edges: missing")
        silent = found.get("silent", [])
        if not isinstance(silent, list) or not all(section in SECTIONS for section in silent):
            raise BucketsError(f"silent: of {', '.join(SECTIONS)}")
        edges = {family: dict(_checked(family, names)) for family, names in families.items()}
        return cls(edges, tuple(silent))

    @cached_property
    def _written(self) -> dict[str, tuple[_Written, ...]]:
        return {name: tuple(self._written_of(family)) for name, family in FAMILIES.items()}

    def _written_of(self, family: Family) -> Iterator[_Written]:
        for column, fact in enumerate(family.facts):
            edges = self.edges.get(family.name, {}).get(fact.name, ())
            if fact.unit == YES_NO_UNIT:
                edges, texts = _HALF, ["no", "yes"]
            elif edges:
                texts = _texts(edges)
            else:
                continue
            label = family.labels[fact.name]
            yield _Written(column, fact.name, edges, tuple(f"{label}: {text}" for text in (*texts, UNKNOWN)))


def _fitted(family: Family, parts: list[np.ndarray]) -> dict[str, tuple[float, ...]]:
    table = np.concatenate(parts).astype(np.float64)
    found = {}
    for column, fact in enumerate(family.facts):
        values = table[:, column]
        edges = () if fact.unit == YES_NO_UNIT else _quantiles(values[np.isfinite(values)])
        if edges:
            found[fact.name] = edges
    return found


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    """Edges that part these values, each on a value of theirs but for rounding; none if there is only one value."""
    if not len(values):
        return ()
    exact = np.quantile(values, np.arange(1, BUCKETS) / BUCKETS, method="higher")
    if exact.max() == values.min() < values.max():
        exact = values[values > values.min()].min(
            keepdims=True
        )  # what nearly always is the same, and then is not
    rounded = {float(f"{edge:.{DIGITS}g}") + 0.0 for edge in exact.tolist()}  # -0.0 is 0
    return tuple(sorted(edge for edge in rounded if values.min() < edge <= values.max()))


def _texts(edges: Sequence[float]) -> list[str]:
    said = [np.format_float_positional(edge, trim="-") for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(said)]
    return [f"below {said[0]}", *between, f"{said[-1]} or more"]


def _checked(family: str, names: Any) -> Iterator[tuple[str, tuple[float, ...]]]:
    if family not in FAMILIES or not isinstance(names, dict):
        raise BucketsError(f"edges.{family}: there are {', '.join(FAMILIES)}")
    known: dict[str, Fact] = {fact.name: fact for fact in FAMILIES[family].facts}
    for name, edges in names.items():
        if name not in known or known[name].unit == YES_NO_UNIT:
            raise BucketsError(f"edges.{family}.{name}: no number of this name has buckets; fit them again")
        if not _are_edges(edges):
            raise BucketsError(f"edges.{family}.{name}: not 1 to {BUCKETS - 1} ascending numbers")
        yield name, tuple(float(edge) for edge in edges)


def _are_edges(edges: Any) -> bool:
    if not isinstance(edges, list) or not 0 < len(edges) < BUCKETS:
        return False
    if not all(type(edge) in (int, float) and -EDGE_MAX <= edge <= EDGE_MAX for edge in edges):
        return False
    return all(low < high for low, high in pairwise(edges))
