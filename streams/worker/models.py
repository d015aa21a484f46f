"""The decider that answers: the current version of the registry, looked up again and again by a thread."""

import logging
import threading

from streams.settings import Settings
from trainer.deciders.evidence import EvidenceDecider
from trainer.fitted import DECIDER
from trainer.registry import Registry
from twin_store.affinity import Affinity
from twin_store.evidence import EvidenceReader, Products

LOOK_EVERY_S = 2.0
_log = logging.getLogger(__name__)


class CurrentModel:
    """Holds the current version, loaded. A version that cannot be loaded is reported, and the last one stays."""

    def __init__(self, settings: Settings, products: Products) -> None:
        self.decider: EvidenceDecider | None = None
        self._registry = Registry(settings.models)
        self._products = products
        self._unfitted = EvidenceReader(products, Affinity.empty())
        self._tried: str | None = None
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
        try:
            version = self._registry.current(DECIDER)
            if version is None or version == self._tried:
                return
            self.decider = EvidenceDecider.load(self._registry, version, self._products)
            _log.info("%s %s answers from now on", DECIDER, version)
        except Exception:  # object storage may be away for a while; what is loaded still answers
            _log.exception("the current %s version cannot be loaded", DECIDER)
        else:
            self._tried = version
