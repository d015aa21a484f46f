"""What PEFT's `adapter_config.json` may say."""

from collections.abc import Collection, Mapping
from typing import Any

from trainer.deciders.vllm.errors import AdapterError, Reason

# PEFT's settings that change what an adapter computes, and that the engine does not know or would leave out.
ABSENT = (
    *("lora_bias", "alora_invocation_tokens", "layer_replication", "use_bdlora", "use_qalora"),
    *("megatron_config", "corda_config", "loftq_config", "eva_config", "target_parameters"),
)
EMBEDDING_ROWS = ("modules_to_save", "trainable_token_indices")


def check_config(config: Mapping[str, Any], rank_max: int, allowed: Collection[str]) -> int:
    """The adapter's rank, the largest if modules differ.

    Raises:
        AdapterError: it is no plain LoRA within these bounds.
    """
    if config.get("peft_type") != "LORA":
        raise AdapterError(Reason.CONFIG, f"its method is {config.get('peft_type')!r}, not LORA")
    if config.get("use_dora"):
        raise AdapterError(Reason.DORA, "it is a DoRA adapter; the engine has no DoRA")
    for name in EMBEDDING_ROWS:
        if config.get(name):
            raise AdapterError(Reason.EMBEDDINGS, f"{name} is {config[name]!r}; fold such rows into the base")
    odd = [name for name in ABSENT if config.get(name)]
    if config.get("bias", "none") != "none":
        odd.append("bias")
    # Other texts name initialisations that changed the base's weights, and the engine serves the base unchanged.
    if isinstance(config.get("init_lora_weights"), str) and config["init_lora_weights"] != "gaussian":
        odd.append("init_lora_weights")
    if odd:
        raise AdapterError(Reason.UNSUPPORTED, f"the engine has no {', '.join(odd)}")
    _check_modules(config.get("target_modules"), allowed)
    return _rank(config, rank_max)


def _check_modules(targets: Any, allowed: Collection[str]) -> None:
    """A text is a pattern: what it matched is seen in the weights."""
    if targets is None or isinstance(targets, str):
        return
    foreign = sorted({str(each).rsplit(".", 1)[-1] for each in targets} - set(allowed))
    if foreign:
        raise AdapterError(Reason.MODULE, f"it changes {', '.join(foreign)}; allowed: {', '.join(allowed)}")


def _rank(config: Mapping[str, Any], rank_max: int) -> int:
    ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    if not all(isinstance(rank, int) and rank > 0 for rank in ranks):
        raise AdapterError(Reason.CONFIG, f"its ranks are {ranks}")
    if max(ranks) > rank_max:
        raise AdapterError(Reason.RANK, f"its rank is {max(ranks)}; the engine was started for {rank_max}")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or alpha <= 0:
        raise AdapterError(Reason.CONFIG, f"its lora_alpha is {alpha!r}")
    return max(ranks)
