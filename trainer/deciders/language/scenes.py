"""What a language model is shown of a question: segment, DNA, evidence and names, all as of its moment."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from trainer.deciders.base import DecisionInput
from twin_store.catalogue import Catalogue
from twin_store.dna.profile import ProductNames, ProfileWriter
from twin_store.dna.twin import rewind
from twin_store.evidence import EVIDENCE_NAMES, EvidenceReader, Products
from twin_store.prompts import Scene
from twin_store.segments import Definitions, segment_of
from twin_store.symbols import key_of


class SceneMaker:
    """Makes scenes over the products that are handed in, which may change as it goes. Not thread-safe."""

    def __init__(
        self,
        products: Products,
        definitions: Definitions,
        reader: Callable[[], EvidenceReader],
        names: Callable[[], ProductNames],
    ) -> None:
        """`reader` gives the one that reads by the current fitted tables, `names` what the DNA is read by."""
        self._catalogue = products.catalogue
        self._called = CatalogueNames(products.catalogue)
        self._definitions = definitions
        self._reader = reader
        self._names = names
        self._writer = ProfileWriter(products.currency)

    def segment(self, asked: DecisionInput) -> str:
        """The name of the segment that her twin was in."""
        return segment_of(asked.twin, asked.question.as_of, self._definitions, self._catalogue)

    def evidence(self, asked: DecisionInput) -> np.ndarray | None:
        """As `EvidenceReader.read`; None for kinds without evidence. Raises `UnanswerableQuestion`."""
        if asked.question.kind not in EVIDENCE_NAMES:
            return None
        return self._reader().read(asked.question, asked.twin)

    def scene(self, asked: DecisionInput, segment: str, evidence: np.ndarray | None) -> Scene:
        """The scene of a question to somebody of this segment."""
        then = rewind(asked.twin, asked.question.as_of)
        return Scene(
            asked.question,
            self._definitions.segment(segment),
            self._writer.dna(then, self._names(), asked.symbols),
            evidence,
            self._called,
        )


class CatalogueNames(Mapping[str, str]):
    """What the catalogue calls products, by sku; deleted and unknown ones are not in it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __getitem__(self, sku: str) -> str:
        name = self._catalogue.name_of(key_of(sku))
        if name is None:
            raise KeyError(sku)
        return name

    def __iter__(self) -> Iterator[str]:
        raise TypeError("the catalogue keeps keys, not skus: look a product up by its sku")

    def __len__(self) -> int:
        return len(self._catalogue)
