"""Newton's method on the penalised log loss of a linear score: what Platt's line and logistic regression share."""

import numpy as np

STEPS_MAX = 50
STEP_MIN = 1e-8
HALVINGS_MAX = 20
SCORE_MAX = 30.0


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """Log odds to probabilities."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(scores, -SCORE_MAX, SCORE_MAX))))


def log_odds(probabilities: np.ndarray, least: float) -> np.ndarray:
    """Probabilities to log odds; those nearer to 0 or 1 than `least` count as that near."""
    held = np.clip(probabilities, least, 1 - least)
    return np.asarray(np.log(held) - np.log1p(-held))


def least_log_loss(
    design: np.ndarray, labels: np.ndarray, weights: np.ndarray, penalty: np.ndarray, towards: np.ndarray
) -> np.ndarray:
    """The coefficients [k] with the least log loss; it starts from `towards`, to which they are drawn.

    A full step overshoots where the scores are far too sure, and then swings for ever: steps are halved until
    the loss falls.
    """

    def loss(found: np.ndarray) -> float:
        scores = design @ found
        data = weights @ (np.logaddexp(0.0, scores) - labels * scores)
        return float(data + penalty @ (found - towards) ** 2 / 2)

    found = towards.astype(np.float64)
    now = loss(found)
    for _ in range(STEPS_MAX):
        probabilities = sigmoid(design @ found)
        gradient = design.T @ (weights * (probabilities - labels)) + penalty * (found - towards)
        curvature = (design * (weights * probabilities * (1 - probabilities))[:, None]).T @ design
        step = np.linalg.solve(curvature + np.diag(penalty + 1e-9), gradient)
        for _ in range(HALVINGS_MAX):
            after = loss(found - step)
            if after <= now:
                break
            step = step / 2
        else:
            break  # no step makes it better: this is the least that numbers can tell
        found, now = found - step, after
        if np.abs(step).max() < STEP_MIN:
            break
    return found
