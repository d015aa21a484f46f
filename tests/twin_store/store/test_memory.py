"""The store in memory."""

from __future__ import annotations

import pytest

from tests.twin_store.store.conformance import StateStoreConformance
from twin_store.store.memory import MemoryStore


class TestMemoryStore(StateStoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()
