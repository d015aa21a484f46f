"""TIFU-KNN by its authors' protocol, to hold our reading of the paper against its figures.

Each customer's last basket is what is asked about and all before it are known, of everybody alike: neighbours are not
held back in time, as they are in the benchmark. Customers with few baskets are left out.
"""

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets, Held
from trainer.fidelity.baselines.neighbours import matrix_of
from trainer.fidelity.baselines.tifu_knn import NEIGHBOURS, OWN_SHARE, faded, means_of_nearest

BASKETS_MIN = 3
FOREVER = 2**62
PUBLISHED = {"Instacart": 0.395, "Dunnhumby": 0.209, "Ta-Feng": 0.130}  # recall@10 in the paper


def tifu_knn_recall(baskets: Baskets, k: int = 10, own_share: float = OWN_SHARE) -> dict[str, float | int]:
    """Recall of the last baskets among the first `k` products, and of how many customers."""
    whole = [baskets.held(customer, FOREVER) for customer in baskets.customers]
    whole = [each for each in whole if each.baskets >= BASKETS_MIN]
    known = [
        Held(each.items[each.ages > 0], each.ages[each.ages > 0] - 1, each.baskets - 1) for each in whole
    ]
    vectors = matrix_of(baskets, known, [faded(each) for each in known])
    means = means_of_nearest(vectors, NEIGHBOURS)
    recalls = []
    for i, each in enumerate(whole):
        scores = own_share * vectors[i].toarray().ravel() + (1 - own_share) * means.of(i, None)
        best = np.argpartition(-scores, k)[:k]
        last = each.items[each.ages == 0]
        recalls.append(len(np.intersect1d(best, last)) / len(last))
    return {"customers": len(recalls), "recall_at_10": float(np.mean(recalls))}
