"""`evidence(question, twin, products, fitted)`: typed, named numbers, written once.

They feed the evidence decider, the legible lines of a prompt, the rewards and the audit. `names` says what each
number is; `questions` turns a question into keys; `history`, `levels`, `items`, `affinities`, `products`, `baskets` and
`vouchers` are the compiled readers.
"""

from twin_store.evidence.names import EVIDENCE, EVIDENCE_NAMES, Fact
from twin_store.evidence.questions import EvidenceReader, Products, Question, UnanswerableQuestion, named

__all__ = [
    "EVIDENCE",
    "EVIDENCE_NAMES",
    "EvidenceReader",
    "Fact",
    "Products",
    "Question",
    "UnanswerableQuestion",
    "named",
]
