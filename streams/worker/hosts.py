"""The language model that the settings ask for."""

from functools import partial
from typing import TYPE_CHECKING

from streams.errors import UsageError
from streams.settings import Settings, variable
from streams.telemetry import Telemetry
from streams.vllm_python import has_vllm
from trainer.deciders.language.adapter_host import AdapterHost
from trainer.deciders.language.host import ModelHost
from trainer.deciders.language.served import BUCKETS, CALIBRATION, ServedBase

if TYPE_CHECKING:
    from trainer.deciders.vllm.settings import EngineSettings


def hosted(settings: Settings, member: str, telemetry: Telemetry) -> ModelHost | None:
    """The host of the settings' language model, which may still be starting; None where evidence alone decides.

    Raises:
        UsageError: it cannot be had here.
    """
    match settings.decider:
        case "evidence":
            return None
        case "vllm":
            return _vllm(settings, member, telemetry)
        case "openai":
            return _openai(settings)


def adapters_of(host: ModelHost) -> AdapterHost | None:
    """Who takes adapters in for this model, None where nobody does."""
    from trainer.deciders.openai.adapter_host import OpenAIAdapters
    from trainer.deciders.openai.host import OpenAIHost
    from trainer.deciders.vllm.adapter_host import VllmAdapters
    from trainer.deciders.vllm.host import EngineHost

    match host:
        case EngineHost():
            return VllmAdapters(lambda: host.engine)
        case OpenAIHost():
            return OpenAIAdapters(host)
        case _:
            return None


def served_base(settings: Settings) -> ServedBase:
    """What makes the base's answers hold, from its folder; nothing where it was not trained on decisions.

    Raises:
        UsageError: a file there is not what its name says.
    """
    folder = settings.vllm_model
    if folder is None:
        return ServedBase()
    paths = {name: folder / name for name in (BUCKETS, CALIBRATION)}
    try:
        return ServedBase.of_files(
            {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
        )
    except ValueError as error:
        raise UsageError(f"{folder}: {error}") from None


def engine_settings(settings: Settings, member: str) -> "EngineSettings":
    """How the engine of a worker is started. Raises `UsageError` for bounds that it would not start with."""
    from trainer.deciders.vllm.settings import EngineSettings

    if settings.vllm_model is None:
        raise UsageError(f"the vllm decider needs a base model: name its folder by {variable('vllm_model')}")
    try:
        return EngineSettings(
            model=settings.vllm_model,
            adapter_copies=settings.data_dir / "adapters" / f"worker-{member}",
            adapters_in_batch=settings.vllm_adapters_in_batch,
            adapters_in_memory=settings.vllm_adapters_in_memory,
            rank_max=settings.vllm_rank_max,
            eager=settings.vllm_eager,
            dtype=settings.vllm_dtype,
            in_flight_max=settings.worker_in_flight_max,
            tokens_max=settings.vllm_tokens_max,
            cache_mib=settings.vllm_cache_mib,
            threads=settings.vllm_threads,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def _openai(settings: Settings) -> ModelHost:
    from trainer.deciders.openai.host import OpenAIHost
    from trainer.deciders.openai.settings import OpenAISettings

    try:
        return OpenAIHost(OpenAISettings.of(settings))
    except ValueError as error:
        raise UsageError(f"{variable('decider')} openai: {error}") from None


def _vllm(settings: Settings, member: str, telemetry: Telemetry) -> ModelHost:
    from trainer.base_model import BaseModel, BaseModelError
    from trainer.deciders.vllm.figures import EngineFigures
    from trainer.deciders.vllm.host import EngineHost
    from trainer.deciders.vllm.thread import EngineThread

    if not has_vllm():
        raise UsageError(
            "the vllm decider needs vLLM, which is not installed here: run the worker with the Python of "
            "`make setup-vllm`, as `twins up --decider vllm` does"
        )
    wanted = engine_settings(settings, member)
    try:
        BaseModel.read(wanted.model)
    except BaseModelError as error:
        raise UsageError(f"{variable('vllm_model')}: {error}") from None
    telemetry.registry.register(EngineFigures())
    return EngineHost(partial(EngineThread.start, wanted))
