"""vLLM's asynchronous engine as an `Inference`. The only module that imports vLLM, and only when it is started.

`AsyncLLM` runs the model in a process of its own, which it spawns; on a CPU we keep it to that one process. Written
for vLLM 0.32, whose sources are named where something is not in its documentation.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from trainer.deciders.vllm.errors import AdapterError, EngineDownError, PromptError, Reason, VllmError
from trainer.deciders.vllm.inference import LoadedAdapter, TextWish
from trainer.deciders.vllm.settings import MIB, EngineSettings

# Nothing is asked of a hub, nothing is told to anybody, and the parts find each other on this machine.
ALONE = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1"}


class AsyncVllm:
    """See `Inference`. To be made and used on one event loop."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm
        self._numbers = itertools.count()

    @classmethod
    def start(cls, settings: EngineSettings) -> Self:
        """Start the engine; it takes some ten seconds to minutes, in which the loop stands still.

        Raises:
            EngineDownError: it does not start, with vLLM's reason.
            VllmError: vLLM is not installed here.
        """
        with _environment({**ALONE, "VLLM_LOGGING_LEVEL": settings.log_level}):
            try:
                from vllm.engine.arg_utils import AsyncEngineArgs
                from vllm.platforms import current_platform
                from vllm.v1.engine.async_llm import AsyncLLM
            except ImportError as error:
                raise VllmError(
                    f"the vllm decider needs {error.name}; run it in the environment of `make setup-vllm`"
                ) from None
            on_cpu = current_platform.is_cpu()
            with _environment(_for_cpu(settings) if on_cpu else {}):
                try:
                    return cls(AsyncLLM.from_engine_args(AsyncEngineArgs(**_arguments(settings, on_cpu))))
                except (RuntimeError, ValueError, OSError) as error:
                    raise EngineDownError(f"vLLM does not start with {settings.model}: {error}") from error

    @property
    def tokens_max(self) -> int:
        """See `Inference`."""
        return int(self._llm.model_config.max_model_len)

    @property
    def is_up(self) -> bool:
        """See `Inference`."""
        return not self._llm.errored

    async def first_token(
        self,
        prompt_ids: Sequence[int],
        token_ids: Sequence[int],
        adapter: LoadedAdapter | None,
        priority: int,
    ) -> dict[int, float]:
        """See `Inference`. These are the raw ones: before temperature, penalties and masks."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(
            max_tokens=1,
            temperature=0.0,
            logprob_token_ids=list(token_ids),
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        done = await self._generate(prompt_ids, parameters, adapter, priority)
        return {token: each.logprob for token, each in done.logprobs[0].items()}

    async def text(
        self, prompt_ids: Sequence[int], wish: TextWish, adapter: LoadedAdapter | None, priority: int
    ) -> str:
        """See `Inference`."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        parameters = SamplingParams(
            max_tokens=wish.tokens_max,
            temperature=wish.temperature,
            seed=wish.seed,
            structured_outputs=StructuredOutputsParams(choice=list(wish.choices)) if wish.choices else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        return str((await self._generate(prompt_ids, parameters, adapter, priority)).text)

    async def load(self, adapter: LoadedAdapter) -> None:
        """See `Inference`."""
        try:
            taken = await self._call(self._llm.add_lora(_request(adapter)))
        except EngineDownError:
            raise
        except Exception as error:  # the engine reports every failure of its call as a bare one
            raise AdapterError(Reason.ENGINE, f"{adapter.name}: {error}") from None
        if not taken:
            raise AdapterError(Reason.ENGINE, f"{adapter.name}: vLLM did not take it")

    async def unload(self, adapter: LoadedAdapter) -> None:
        """See `Inference`."""
        await self._call(self._llm.remove_lora(adapter.number))

    async def loaded(self) -> set[int]:
        """See `Inference`."""
        return set(await self._call(self._llm.list_loras()))

    async def forget_prefixes(self) -> None:
        """See `Inference`."""
        await self._call(self._llm.reset_prefix_cache())

    def stop(self) -> None:
        """See `Inference`."""
        self._llm.shutdown()

    async def _generate(
        self, prompt_ids: Sequence[int], parameters: Any, adapter: LoadedAdapter | None, priority: int
    ) -> Any:
        """The only output of the finished request."""
        from vllm.exceptions import VLLMClientError
        from vllm.inputs import tokens_input

        outputs = self._llm.generate(
            tokens_input(list(prompt_ids)),
            parameters,
            request_id=str(next(self._numbers)),
            lora_request=None if adapter is None else _request(adapter),
            priority=-priority,  # vLLM has the smallest go first
        )
        last = None
        try:
            # To the end: a generator that is dropped before aborts its request, also one that is finished.
            async for output in outputs:
                last = output.outputs[0]
        except VLLMClientError as error:
            raise PromptError(str(error)) from None
        except Exception:
            if self._llm.errored:
                raise EngineDownError("the engine has died; its log says of what") from None
            raise
        if last is None:
            raise EngineDownError("the engine ended a request without an answer")
        return last

    async def _call(self, call: Any) -> Any:
        try:
            return await call
        except Exception:
            if self._llm.errored:
                raise EngineDownError("the engine has died; its log says of what") from None
            raise


def _request(adapter: LoadedAdapter) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.name, adapter.number, str(adapter.folder))


def _arguments(settings: EngineSettings, on_cpu: bool) -> dict[str, Any]:
    # On a CPU rows of the base are computed with the weights in the last slot, whatever adapter those are of
    # (vllm/lora/ops/torch_ops/lora_ops.py takes their index -1 at its word; vllm-project/vllm#48421). So there is one
    # slot more than adapters in memory: the first free one is taken, so the last stays as it began, all zeros.
    slots = settings.adapters_in_memory + 1 if on_cpu else settings.adapters_in_batch
    return {
        "model": str(settings.model),
        "load_format": "safetensors",
        "generation_config": "vllm",  # nothing of what a model's folder says about sampling
        "dtype": settings.dtype,
        "enforce_eager": settings.eager,
        "max_model_len": settings.tokens_max,
        "max_num_seqs": settings.in_flight_max,
        "kv_cache_memory_bytes": None if settings.cache_mib is None else settings.cache_mib * MIB,
        "enable_prefix_caching": True,
        "scheduling_policy": "priority",
        "enable_lora": True,
        "max_loras": slots,
        "max_cpu_loras": max(slots, settings.adapters_in_memory),
        "max_lora_rank": settings.rank_max,
        "seed": 0,
    }


def _for_cpu(settings: EngineSettings) -> dict[str, str]:
    """One process and not two for the model, which is a minute less of imports.

    vLLM has the second one to bind threads to cores; where the number of threads is set, none are bound.
    """
    wanted = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    if settings.threads is not None:
        wanted |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(settings.threads)}
    if settings.eager:
        # The sampler compiles one small function all the same, at the first question: twenty seconds of C++.
        wanted["TORCH_COMPILE_DISABLE"] = "1"
    return wanted


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes that are started meanwhile; whoever runs this may have set others."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
