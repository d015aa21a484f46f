"""The Python in which the language model runs: the environment that has vLLM cannot have Faust."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from streams.errors import UsageError
from streams.settings import Settings, variable

ENVIRONMENT = ".venv-vllm"  # that `make setup-vllm` fills, beside the packages


def has_vllm() -> bool:
    """Whether this process could run the language model itself."""
    return importlib.util.find_spec("vllm") is not None


def vllm_python(settings: Settings) -> str:
    """The Python to start the language model with.

    Raises:
        UsageError: there is none, or no base model is named.
    """
    checkout = Path(__file__).resolve().parent.parent
    python = settings.vllm_python or str(checkout / ENVIRONMENT / "bin" / "python")
    if not (os.path.isfile(python) and os.access(python, os.X_OK)):
        raise UsageError(
            f"the vllm decider has an environment of its own, and there is no {python}: run `make setup-vllm`, "
            f"or name its Python by {variable('vllm_python')}"
        )
    if settings.vllm_model is None:
        raise UsageError(f"the vllm decider needs a base model: name its folder by {variable('vllm_model')}")
    return python
