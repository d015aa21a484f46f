"""TIFU-KNN by its authors' protocol, to hold our reading of the paper against its figures.

Each customer's last basket is what is asked about and all before it are known, of everybody alike: neighbours are not
held back in time, as they are in the benchmark. Customers with few baskets are left out.
"""

import numpy as np

from trainer.fidelity.baselines.baskets import Baskets
from trainer.fidelity.baselines.tifu_knn import NEIGHBOURS, OWN_SHARE, faded

BASKETS_MIN = 3
FOREVER = 2**62
PUBLISHED = {"Instacart": 0.395, "Dunnhumby": 0.209, "Ta-Feng": 0.130}  # recall@10 in the paper


def tifu_knn_recall(baskets: Baskets, k: int = 10, own_share: float = OWN_SHARE) -> dict[str, float | int]:
    """Recall of the last baskets among the first `k` products, and of how many customers."""
    from scipy.sparse import csr_matrix, vstack

    histories = [baskets.before(customer, FOREVER) for customer in baskets.customers]
    histories = [history for history in histories if len(history) >= BASKETS_MIN]
    width = len(baskets.skus)
    known = vstack([csr_matrix(faded(history[:-1], width)) for history in histories]).tocsr()
    distances = known.multiply(known).sum(axis=1) - 2 * (known @ known.T).toarray()
    distances = np.asarray(distances)  # row i: everybody's from i, but for i's own square
    np.fill_diagonal(distances, np.inf)
    count = min(NEIGHBOURS, len(histories) - 1)
    recalls = []
    for i, history in enumerate(histories):
        nearest = np.zeros(len(histories))
        nearest[np.argpartition(distances[:, i], count - 1)[:count]] = 1.0 / max(count, 1)
        own = known[i].toarray().ravel()
        scores = own_share * own + (1 - own_share) * (known.T @ nearest)
        best = np.argsort(-scores, kind="stable")[:k]
        recalls.append(len(np.intersect1d(best, history[-1])) / len(history[-1]))
    return {"customers": len(recalls), "recall_at_10": float(np.mean(recalls))}
