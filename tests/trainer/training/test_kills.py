"""Real processes that are killed at any moment: the base that comes out is the one of a run that was left alone."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.trainer.training.conftest import Taught
from trainer.training.encoded import Encoded
from trainer.training.examples import examples_of
from trainer.training.questions import Examiner
from trainer.training.runs import LOSSES, Run

KILLS = 5
STEPS = 60
TRAIN = """
import json, sys
from pathlib import Path
import torch
from safetensors.numpy import load_file
from trainer.training.base import Pace, train_base
from trainer.training.encoded import Encoded
torch.set_num_threads(1)
data, folder, run, steps = sys.argv[1:]
train_base(Path(folder), Encoded(**load_file(data)), Pace(steps=int(steps), batch=16, keep_every=3), Path(run))
"""


def start(data: Path, folder: Path, run: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", TRAIN, str(data), str(folder), str(run), str(STEPS)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def steps_done(run: Path) -> int:
    path = run / LOSSES
    return len(path.read_bytes().splitlines()) if path.exists() else 0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_at_five_moments_it_sees_the_same_examples_and_ends_the_same(
    examiner: Examiner, taught: Taught, tmp_path: Path
) -> None:
    asked = taught.parts["purchase"].last
    data = Encoded.of(examples_of(examiner, asked, taught.buckets), taught.tokens, 4_096)
    path = tmp_path / "data.safetensors"
    save_file({name: np.ascontiguousarray(array) for name, array in vars(data).items()}, path)
    assert Encoded(**load_file(path)).sha256() == data.sha256()
    folders = {name: tmp_path / name for name in ("whole", "killed")}
    for folder in folders.values():
        shutil.copytree(taught.folder, folder)
    assert start(path, folders["whole"], tmp_path / "run-whole").wait() == 0
    dice = random.Random(4)
    moments = sorted(dice.sample(range(4, STEPS - 2), KILLS))
    for moment in moments:
        process = start(path, folders["killed"], tmp_path / "run-killed")
        while steps_done(tmp_path / "run-killed") < moment and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        assert process.wait() != 0, "it was done before it could be killed"
    assert start(path, folders["killed"], tmp_path / "run-killed").wait() == 0
    whole, killed = (Run(tmp_path / name).losses() for name in ("run-whole", "run-killed"))
    assert [line["rows"] for line in killed] == [line["rows"] for line in whole]
    assert json.dumps(killed) == json.dumps(whole)
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders.values()]
    assert weights[0] == weights[1]
