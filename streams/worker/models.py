"""The deciders that answer: the current versions of the registry, looked up again and again by a thread."""

import logging
import threading
from collections.abc import Callable

from streams.settings import Settings
from trainer.deciders.evidence import EvidenceDecider
from trainer.fitted import DECIDER
from trainer.registry import Registry
from twin_store.affinity import Affinity
from twin_store.evidence import EvidenceReader, Products
from twin_store.segments import Definitions, load_definitions

LOOK_EVERY_S = 2.0
_log = logging.getLogger(__name__)


class CurrentModel:
    """Holds the current versions, loaded. A version that cannot be loaded is reported, and the last one stays.

    Attributes:
        decider: the model of all.
        by_segment: of the segments that have a model of their own. Replaced as a whole, never changed.
        definitions: what the segments are.
    """

    def __init__(
        self,
        settings: Settings,
        products: Products,
        tell: Callable[[str, str], None] = lambda line, version: None,
    ) -> None:
        """`tell` is called with line and version of each that is taken up."""
        self.decider: EvidenceDecider | None = None
        self.by_segment: dict[str, EvidenceDecider] = {}
        self.definitions: Definitions = load_definitions()
        self._tell = tell
        self._registry = Registry(settings.models)
        self._products = products
        self._unfitted = EvidenceReader(products, Affinity.empty())
        self._tried: dict[str, str] = {}
        self._stop = threading.Event()
        self._look()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()

    def reader(self) -> EvidenceReader:
        """What reads evidence as the current version does; with nothing fitted while there is none."""
        return self._unfitted if self.decider is None else self.decider.reader

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            self._look()

    def _look(self) -> None:
        loaded = self._newly_current(DECIDER)
        if loaded is not None:
            self.decider = loaded
        for segment in self.definitions.names:
            line = segment_line(segment)
            loaded = self._newly_current(line)
            if loaded is not None:
                self.by_segment = self.by_segment | {segment: loaded}
            elif segment in self.by_segment and line not in self._tried:
                self.by_segment = {name: each for name, each in self.by_segment.items() if name != segment}

    def _newly_current(self, line: str) -> EvidenceDecider | None:
        """The line's version if it is another than before, loaded; None where nothing is to be taken up."""
        try:
            version = self._registry.current(line)
            if version is None:
                self._tried.pop(line, None)
                return None
            if version == self._tried.get(line):
                return None
            loaded = EvidenceDecider.load(self._registry, version, self._products, line=line)
            _log.info("%s %s answers from now on", line, version)
            self._tell(line, version)
        except Exception:  # object storage may be away for a while; what is loaded still answers
            _log.exception("the current %s version cannot be loaded", line)
            return None
        self._tried[line] = version
        return loaded


def segment_line(segment: str) -> str:
    """The registry's line of a segment's own evidence models."""
    return f"{DECIDER}/{segment}"
