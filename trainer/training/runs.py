"""The folder of a training run: what is needed to know what was done, to do it again, and to go on after a kill.

`run.json` has the settings, the hash of the data and the versions of the libraries; `losses.jsonl` a line a step;
`checkpoint.safetensors` the newest state. A checkpoint is written beside and renamed, so a kill leaves a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

RUN, LOSSES, CHECKPOINT, CHECKPOINTS = "run.json", "losses.jsonl", "checkpoint.safetensors", "checkpoints"
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "numpy", "lightgbm")
STEP = "step"


class RunError(ValueError):
    """A run that cannot go on: it is of other settings or data, or a file of it is broken."""


@dataclass(frozen=True)
class Run:
    """One run in its folder. Make it by `begun`."""

    folder: Path

    @classmethod
    def begun(cls, folder: Path, settings: Mapping[str, Any], data_sha256: str) -> Run:
        """Begin a run, or go on with the one that is in the folder.

        Raises:
            RunError: the folder holds a run of other settings or data.
        """
        said = {"settings": dict(settings), "data_sha256": data_sha256}
        path = folder / RUN
        if path.exists():
            try:
                found = json.loads(path.read_text())
            except ValueError as error:
                raise RunError(f"{path} is broken: {error}") from None
            differing = [key for key in said if found.get(key) != json.loads(json.dumps(said[key]))]
            if differing:
                raise RunError(f"{folder} holds a run of other {' and '.join(differing)}; take a new folder")
            return cls(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _put(path, json.dumps(said | {"libraries": libraries()}, indent=2).encode())
        return cls(folder)

    def losses(self) -> list[dict[str, Any]]:
        """What was noted of each step, in order. Half a line, from a kill, is passed over."""
        path = self.folder / LOSSES
        if not path.exists():
            return []
        found = []
        for line in path.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found

    def note(self, step: int, **said: Any) -> None:
        """Add one step's line."""
        with (self.folder / LOSSES).open("a") as file:
            file.write(json.dumps({STEP: step} | said) + "\n")

    def keep(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Write a checkpoint of what stands after a step."""
        from safetensors.torch import save

        _put(self.folder / CHECKPOINT, save(dict(tensors), metadata={STEP: str(step)}))

    def resumed(self) -> tuple[int, dict[str, Tensor]]:
        """The step of the newest checkpoint with its tensors, 0 and none before the first.

        What was noted after it is forgotten: it will be done again.

        Raises:
            RunError: the checkpoint is broken.
        """
        from safetensors import SafetensorError, safe_open

        path = self.folder / CHECKPOINT
        step, tensors = 0, {}
        if path.exists():
            try:
                with safe_open(path, "pt") as file:
                    step = int(file.metadata()[STEP])
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            except (SafetensorError, KeyError, TypeError, ValueError) as error:
                raise RunError(f"{path} is broken ({error}): remove it to begin the run anew") from None
        self.forget_after(step)
        return step, tensors

    def forget_after(self, step: int) -> None:
        """Keep of what was noted only what was done up to a step."""
        kept = [line for line in self.losses() if line[STEP] <= step]
        _put(self.folder / LOSSES, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def last_loss(self) -> float:
        """The mean loss of the last tenth of the steps, NaN before the first."""
        losses = [line["loss"] for line in self.losses()]
        return float(np.mean(losses[-max(1, len(losses) // 10) :])) if losses else float("nan")


def newest_checkpoint(folder: Path) -> tuple[int, Path] | None:
    """The step and the folder of the newest whole checkpoint that a trainer of TRL left in a run, None without one.

    Its last file is the trainer's state: a folder without it was cut off while it was written.
    """
    found = []
    for path in (folder / CHECKPOINTS).glob("checkpoint-*"):
        try:
            found.append((int(json.loads((path / "trainer_state.json").read_text())["global_step"]), path))
        except (OSError, ValueError, KeyError):
            continue
    return max(found, default=None)


def libraries() -> dict[str, str]:
    """The versions of what computes here."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def order_of(step: int, batch: int, count: int, seed: int) -> np.ndarray:
    """The examples of a step, by number: int64 [batch]. Follows from the arguments alone, so a run can go on.

    Every example once an epoch, each epoch in an order of its own; a batch may reach into the next one.
    """
    places = np.arange(step * batch, (step + 1) * batch)
    epochs = places // count
    orders = {
        epoch: np.random.default_rng([seed, 11, epoch]).permutation(count) for epoch in set(epochs.tolist())
    }
    return np.array(
        [orders[epoch][place % count] for epoch, place in zip(epochs.tolist(), places.tolist(), strict=True)]
    )


def order_sha(rows: np.ndarray) -> str:
    """A short hash of a batch's numbers, to compare the order of two runs by."""
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16]


def _put(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def trl_arguments(
    run_folder: Path, steps: int, seed: int, devices: str, bf16: bool, keep_every: int
) -> dict[str, Any]:
    """What every training by TRL is told alike: fixed seeds and order, checkpoints of the run, and no reports."""
    return {
        "output_dir": str(run_folder / CHECKPOINTS),
        "max_steps": steps,
        "shuffle_dataset": False,
        "gradient_checkpointing": False,
        "use_cpu": devices == "cpu",
        "bf16": bf16,
        "seed": seed,
        "data_seed": seed,
        "save_strategy": "steps" if keep_every else "no",
        "save_steps": keep_every or 1,
        "save_total_limit": 2,
        "report_to": [],
        "disable_tqdm": True,
    }
