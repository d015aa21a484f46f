"""The Python in which the language model runs: the environment that has vLLM cannot have Faust."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from streams.errors import UsageError
from streams.settings import Settings, variable

CHECKOUT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ".venv-vllm"  # that `make setup-vllm` fills, beside the packages
COMPILED = ".numba-vllm"


def has_vllm() -> bool:
    """Whether this process could run the language model itself."""
    return importlib.util.find_spec("vllm") is not None


def vllm_python(settings: Settings) -> str:
    """The Python to start the language model with.

    Raises:
        UsageError: there is none, or no base model is named.
    """
    python = settings.vllm_python or str(CHECKOUT / ENVIRONMENT / "bin" / "python")
    if not (os.path.isfile(python) and os.access(python, os.X_OK)):
        raise UsageError(
            f"the vllm decider has an environment of its own, and there is no {python}: run `make setup-vllm`, "
            f"or name its Python by {variable('vllm_python')}"
        )
    if settings.vllm_model is None:
        raise UsageError(f"the vllm decider needs a base model: name its folder by {variable('vllm_model')}")
    return python


def with_own_compiled(environment: Mapping[str, str]) -> dict[str, str]:
    """A process's variables, for that Python: compiled code of its own, wherever nothing else is said.

    It has another numba than the others. Numba keeps the code of both under the same names, and whoever comes second
    finds nothing of use, compiles half a minute, and leaves the same behind for the first.
    """
    return {"NUMBA_CACHE_DIR": str(CHECKOUT / COMPILED), **environment}
