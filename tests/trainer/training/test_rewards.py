"""What an answer is worth, and that weights reach the advantages that TRL trains by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.training.conftest import Taught
from trainer.training.encoded import Encoded
from trainer.training.examples import Example, examples_of
from trainer.training.grpo import GrpoPace, Watch, rows_of, train_grpo, yes_truths
from trainer.training.questions import Examiner
from trainer.training.rewards.answers import option, stated_likelihood, well_formed, yes_no
from trainer.training.rewards.baskets import co_occurrence, items_said, jaccard
from trainer.training.rewards.stages import rewards_of
from trainer.training.rewards.taste import promotion_affinity
from trainer.training.scoring import p_yes
from trainer.training.sft import lora


def said(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "assistant", "content": text}] for text in texts]


def test_no_counts_twice_and_what_is_no_answer_counts_nothing() -> None:
    assert [yes_no(text, True) for text in ("YES", "NO", "maybe")] == [1.0, 0.0, 0.0]
    assert [yes_no(text, False) for text in ("YES", "NO", "")] == [0.0, 2.0, 0.0]
    assert well_formed("purchase", "YES") == 1.0
    assert well_formed("purchase", "YES, she will") == 0.0
    assert [option("basket_completion", text, 1, 5) for text in ("B", "C", "F")] == [1.0, 0.0, 0.0]


def test_a_stated_likelihood_pays_most_for_what_is_believed() -> None:
    belief = 0.7
    expected = [
        belief * stated_likelihood(f"Likelihood: {p}", True)
        + (1 - belief) * stated_likelihood(f"Likelihood: {p}", False)
        for p in range(101)
    ]
    assert int(np.argmax(expected)) == 70
    assert stated_likelihood("rather likely", True) == 0.0


def test_baskets_and_taste() -> None:
    assert items_said("milk, bread., milk") == ["milk", "bread"]
    assert jaccard(["milk", "bread"], ["bread", "wine", "tea"]) == 0.25
    assert jaccard([], []) == 0.0
    assert co_occurrence(1, [0.2, 0.1, 0.0]) == 0.5
    assert co_occurrence(0, [0.0, 0.0]) == 0.0
    assert promotion_affinity(True, 0.8) == pytest.approx(0.8)
    assert promotion_affinity(False, 0.8) == pytest.approx(0.2)
    assert promotion_affinity(True, float("nan")) == promotion_affinity(True, None) == 0.3


def test_the_second_stage_adds_what_fits_the_customer() -> None:
    columns: dict[str, Any] = {
        "kind": ["promotion_response", "basket_completion"],
        "right": [0, 0],
        "options": [0, 3],
        "deal_share": [0.9, None],
        "shared": [[], [0.5, 1.0, 0.0]],
    }
    first, _ = rewards_of("v1")
    second, weights = rewards_of("v4")
    assert (len(first), len(second), len(weights)) == (2, 3, 3)
    right, form, taste = (reward(completions=said("YES", "B"), **columns) for reward in second)
    assert right == [1.0, 0.0]
    assert form == [1.0, 1.0]
    assert taste == [pytest.approx(0.9), 1.0]


@pytest.fixture(scope="module")
def examples(examiner: Examiner, taught: Taught) -> list[Example]:
    return list(examples_of(examiner, taught.parts["purchase"].fit, taught.buckets))[:40]


def adapted(taught: Taught) -> Any:
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    return get_peft_model(AutoModelForCausalLM.from_pretrained(taught.folder, dtype="float32"), lora())


def advantages(
    taught: Taught, examples: list[Example], pace: GrpoPace, run: Path, monkeypatch: pytest.MonkeyPatch
) -> np.ndarray:
    """Of each prompt's answers, as TRL trains by them: [prompts, answers], the ones farthest apart first."""
    from trl import GRPOTrainer

    found: list[np.ndarray] = []
    compute = GRPOTrainer.compute_loss

    def heard(self: Any, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        # TRL mixes the answers of a batch: they are put together again by prompt.
        own = (inputs["prompt_ids"] == inputs["prompt_ids"][0]).all(dim=1).numpy()
        parts = [inputs["advantages"].numpy()[own], inputs["advantages"].numpy()[~own]]
        found.append(np.stack(sorted(parts, key=np.ptp, reverse=True)))
        return compute(self, model, inputs, *args, **options)

    monkeypatch.setattr(GRPOTrainer, "compute_loss", heard)
    held_out = Encoded.of(examples[:8], taught.tokens, 4_096)
    asked = {"purchase": taught.parts["purchase"].fit}
    train_grpo(adapted(taught), taught.folder, examples, asked, held_out, pace, run)
    return found[0]


@pytest.mark.parametrize(("scale", "ratio"), [("none", 5.0), ("batch", 5.0), ("group", 1.0)])
def test_a_weight_on_no_acts_unless_rewards_are_scaled_by_their_group(
    taught: Taught,
    examples: list[Example],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scale: Any,
    ratio: float,
) -> None:
    said = p_yes(adapted(taught), Encoded.of(examples, taught.tokens, 4_096), taught.tokens)
    unsure = [examples[place] for place in np.argsort(np.abs(said - 0.5)).tolist()]
    # Of unsure questions both answers come; the weight must show in how far their advantages lie apart.
    no, yes = (next(each for each in unsure if each.answer == word) for word in ("NO", "YES"))
    pace = GrpoPace(steps=1, prompts=2, answers=16, scale_rewards=scale, no_weight=5.0, look_every=1,
                    keep_every=0, ece_max=1.0)  # fmt: skip
    monkeypatch.setattr("trainer.training.grpo.order_of", lambda *_: np.array([0, 1]))
    found = advantages(taught, [no, yes], pace, tmp_path, monkeypatch)
    right = found > 0
    assert right.any(axis=1).all()
    assert (~right).any(axis=1).all()
    apart = found.max(axis=1) - found.min(axis=1)
    if scale == "group":  # what is left depends on how many were right, and not on the weight
        share = right.mean(axis=1)
        deviation = np.sqrt(share * (1 - share) * 16 / 15)
        np.testing.assert_allclose(apart * deviation, 1.0, atol=0.25)
    else:
        assert apart[0] / apart[1] == pytest.approx(ratio, rel=0.25)


def test_training_by_reward_keeps_what_held_out_cases_like_best(
    taught: Taught, examples: list[Example], tmp_path: Path
) -> None:
    held_out = Encoded.of(examples, taught.tokens, 4_096)
    asked = {"purchase": taught.parts["purchase"].fit}
    model = adapted(taught)
    # A rate this high ruins the calibration at once.
    pace = GrpoPace(steps=4, prompts=4, answers=8, rate=0.5, look_every=1, keep_every=0, ece_max=0.0)
    found = train_grpo(model, taught.folder, examples, asked, held_out, pace, tmp_path)
    assert found["kept"] == 0
    assert len(found["looks"]) < 1 + pace.steps + 1
    again = Watch(model, held_out, pace).looks[0]
    assert again["brier"] == pytest.approx(found["looks"][0]["brier"], abs=1e-6)


def test_columns_and_truths(taught: Taught, examples: list[Example]) -> None:
    rows = rows_of(examples[:3], {"purchase": taught.parts["purchase"].fit})
    assert [row["right"] for row in rows] == [example.right for example in examples[:3]]
    assert rows[0]["options"] == 0
    assert [turn["role"] for turn in rows[0]["prompt"]] == ["system", "user"]
    data = Encoded.of(examples[:3], taught.tokens, 4_096)
    shares = np.array([[0.7, 0.3, 0, 0, 0, 0]] * 3)
    truths, probabilities = yes_truths(data, shares)
    assert truths.tolist() == [int(example.answer == "YES") for example in examples[:3]]
    assert probabilities.tolist() == [0.7] * 3
