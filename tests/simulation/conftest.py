"""The simulator's option."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--simulation-seed", type=int, default=None, help="run the simulation with this seed only"
    )
