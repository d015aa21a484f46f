"""A small town in a lake, and what the trainer makes of it; each made once for the whole run."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.trainer.small_town import OPENING, Town
from trainer.fit_evidence import Effort, fit_evidence
from trainer.fitted import Fitted
from trainer.tasks.history import History
from trainer.tasks.workshop import Workshop
from twin_store.lake import Lake

UNTIL = OPENING + timedelta(days=200)


@pytest.fixture(scope="session")
def town_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake of a small town."""
    return Town().fill(str(tmp_path_factory.mktemp("town") / "lake"))


@pytest.fixture(scope="session")
def until() -> datetime:
    """The end of what is known of it."""
    return UNTIL


@pytest.fixture(scope="session")
def history(town_lake: Lake, until: datetime) -> History:
    """All its history."""
    return History.from_lake(town_lake, until, OPENING)


@pytest.fixture(scope="session")
def workshop(history: History) -> Workshop:
    """That history, ready to draw from."""
    return Workshop(history)


@pytest.fixture(scope="session")
def effort() -> Effort:
    """Few cases: the town is small."""
    return Effort(9_000, 6_000, 4_000, 3_000, 6_000, 2_000)


@pytest.fixture(scope="session")
def trained(history: History, effort: Effort) -> tuple[Fitted, dict[str, Any]]:
    """Every head that the town has cases for, with its measures."""
    return fit_evidence(history, effort)
