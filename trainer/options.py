"""Evidence of options of which exactly one is true: each number again, as its distance from the other options' mean.

What decides between options is where they differ; how much she shops is the same for all of them.
"""

import numpy as np


def beside_the_others(evidence: np.ndarray, cases: np.ndarray) -> np.ndarray:
    """[n, 2 F]: the numbers, then each less the mean of it over the case's other options; NaN where either is missing.

    Args:
        evidence: [n, F], NaN where missing.
        cases: [n], rows of one case stand together.
    """
    starts = np.flatnonzero(np.diff(cases, prepend=cases[0] - 1))
    lengths = np.diff(np.append(starts, len(cases)))
    known = ~np.isnan(evidence)
    filled = np.where(known, evidence, 0.0)
    sums = np.repeat(np.add.reduceat(filled, starts), lengths, axis=0) - filled
    counts = np.repeat(np.add.reduceat(known.astype(evidence.dtype), starts), lengths, axis=0) - known
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.hstack((evidence, evidence - sums / counts))
