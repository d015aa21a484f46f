"""What can go wrong: with the engine, with a question to it, and with an adapter."""

from enum import StrEnum


class VllmError(Exception):
    """Any failure of this package."""


class EngineDownError(VllmError):
    """The engine's process has died, or could not start. It does not come back by itself."""


class PromptError(VllmError, ValueError):
    """A prompt that the model cannot read, such as one that is too long."""


class UnknownAdapterError(VllmError):
    """A question names an adapter that is not there, or not any more."""


class MalformedAnswerError(VllmError):
    """The model did not keep to the asked form, twice."""


class Reason(StrEnum):
    """Why an adapter is refused; the value is what is published."""

    MANIFEST = "manifest"  # there is none, or it is not one
    FILES = "files"  # one is missing, not listed, or of a kind that might run code
    HASH = "hash"  # a file is not what the manifest says, or the manifest not what the release says
    TRUNCATED = "truncated"  # the weights are no whole safetensors file
    CONFIG = "config"  # PEFT's configuration cannot be read or is of another method than LoRA
    UNSUPPORTED = "unsupported"  # a variant of LoRA that the engine does not compute, such as biases
    DORA = "dora"
    RANK = "rank"  # above the limit, or not the same in configuration and weights
    BASE = "base"  # trained on another base
    EMBEDDINGS = "embeddings"  # has rows of embeddings or of the output layer: they belong into the base
    MODULE = "module"  # changes a module that the base lacks or that must not be adapted
    SHAPE = "shape"  # does not fit the base's matrix, or half of a pair is missing
    CANARIES = "canaries"  # no canary prompts, or ones that the base would pass too
    CALIBRATION = "calibration"  # its calibration or its buckets cannot be read
    CANARY = "canary"  # loaded, and did not answer as its trainer heard it
    NAME = "name"  # an adapter of this name is there with other content
    ENGINE = "engine"  # the engine would not load it


class AdapterError(VllmError):
    """An adapter that is refused: `reason` says why in a word, `detail` in a sentence."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
