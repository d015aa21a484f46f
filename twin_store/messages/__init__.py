"""Every message of the system, typed once. See `events`, `decisions`, `profiles` and `control`."""

from twin_store.messages.base import Message
from twin_store.messages.control import AdapterRelease, DeadLetter, DriftTrip, OriginHeader, Transfer
from twin_store.messages.decisions import (
    Ask,
    Environment,
    Outcome,
    Prediction,
    ProductContext,
    Query,
    QuestionKind,
    Request,
    RetrievedProduct,
    Settlement,
    SourceOffset,
    Subject,
)
from twin_store.messages.events import (
    CatalogItem,
    Click,
    Customer,
    Erasure,
    PromotedItem,
    Promotion,
    Transaction,
    TransactionLine,
)
from twin_store.messages.profiles import ProductStatistics, ProductVector, Profile, ShoppingDna

__all__ = [
    "AdapterRelease",
    "Ask",
    "CatalogItem",
    "Click",
    "Customer",
    "DeadLetter",
    "DriftTrip",
    "Environment",
    "Erasure",
    "Message",
    "OriginHeader",
    "Outcome",
    "Prediction",
    "ProductContext",
    "ProductStatistics",
    "ProductVector",
    "Profile",
    "PromotedItem",
    "Promotion",
    "Query",
    "QuestionKind",
    "Request",
    "RetrievedProduct",
    "Settlement",
    "ShoppingDna",
    "SourceOffset",
    "Subject",
    "Transaction",
    "TransactionLine",
    "Transfer",
]
