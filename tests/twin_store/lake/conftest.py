"""Every test of the lake runs on a local folder and on an object store in memory."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest


@pytest.fixture(params=["local", "object store"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a lake that is not there yet."""
    return str(tmp_path / "lake") if request.param == "local" else f"memory://lake-{uuid.uuid4().hex}"
