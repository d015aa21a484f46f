"""How the engine is started."""

from dataclasses import dataclass
from pathlib import Path

RANK_LIMITS = (
    1,
    8,
    16,
    32,
    64,
    128,
    256,
    320,
    512,
)  # what vLLM has kernels for; `MaxLoRARanks` in vllm/config/lora.py
ADAPTABLE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MIB = 1 << 20


@dataclass(frozen=True)
class EngineSettings:
    """What to run and within which bounds.

    Attributes:
        model: the folder of the base model.
        adapter_copies: the folder for private copies of adapters; the engine reads them again whenever it likes.
        adapters_in_batch: how many adapters one batch may mix. Each takes a slot beside the model's weights. On a CPU
            it is all that are in memory.
        adapters_in_memory: how many may be in host memory, those in a batch among them.
        rank_max: the largest rank of an adapter, one of `RANK_LIMITS`. All slots are that wide.
        target_modules: the modules that an adapter may change.
        eager: no compiling and no graphs: starts sooner, answers slower on a GPU.
        dtype: of the weights, as vLLM has it; `auto` is what the model was saved in.
        in_flight_max: questions in the engine at a time; others wait.
        tokens_max: of prompt and answer together; None for as many as the model can.
        cache_mib: size of the key-value cache; None for what is left of the memory, on a CPU too.
        threads: of the model on a CPU; None for vLLM's choice, which binds to cores.
        log_level: of vLLM itself.
    """

    model: Path
    adapter_copies: Path
    adapters_in_batch: int = 4
    adapters_in_memory: int = 16
    rank_max: int = 16
    target_modules: tuple[str, ...] = ADAPTABLE
    eager: bool = False
    dtype: str = "auto"
    in_flight_max: int = 256
    tokens_max: int | None = None
    cache_mib: int | None = None
    threads: int | None = None
    log_level: str = "WARNING"

    def __post_init__(self) -> None:
        """Raises `ValueError` for bounds that vLLM would not start with or that make no sense."""
        if self.rank_max not in RANK_LIMITS:
            raise ValueError(f"rank_max is {self.rank_max}; vLLM has {', '.join(map(str, RANK_LIMITS))}")
        if not 1 <= self.adapters_in_batch <= self.adapters_in_memory:
            raise ValueError("there must be at least one adapter a batch, and room for as many in memory")
        if self.in_flight_max < 1:
            raise ValueError("in_flight_max must be at least 1")
