"""The current decider over what the lake knew at a date: for questions about the past, and for controls."""

from __future__ import annotations

from datetime import datetime, timedelta

from streams.errors import TwinsError, UsageError
from streams.settings import Settings
from trainer.deciders.evidence import EvidenceDecider
from trainer.fitted import DECIDER
from trainer.registry import Manifest, Registry, RegistryError
from trainer.tasks.history import History, NotEnoughHistoryError
from trainer.tasks.workshop import market_of
from twin_store.catalogue import Catalogue
from twin_store.evidence import Products
from twin_store.lake import Lake, LakeError

SHELVES_BEFORE = timedelta(weeks=9)  # displays and mailers that started longer ago are over


def history_until(settings: Settings, until: datetime) -> History:
    """What had happened before `until`. Raises `TwinsError` if the lake holds nothing or cannot be read."""
    try:
        return History.from_lake(Lake(settings.lake), until, until - SHELVES_BEFORE)
    except (LakeError, NotEnoughHistoryError) as error:
        raise TwinsError(str(error)) from error


def products_of(history: History) -> Products:
    """The catalogue and the market of a history."""
    catalogue = Catalogue.from_frame(history.catalogue, history.currency)
    return Products(catalogue, market_of(history), history.currency)


def current_decider(settings: Settings, products: Products) -> tuple[EvidenceDecider, Manifest]:
    """The version that answers now, over these products, and what it says of itself.

    Raises `UsageError` if no model has been trained, `TwinsError` if the version cannot be loaded.
    """
    registry = Registry(settings.models)
    version = registry.current(DECIDER)
    if version is None:
        raise UsageError(
            f"there is no model in {settings.models} yet; fit one with `twins train evidence --until DATE`"
        )
    try:
        return EvidenceDecider.load(registry, version, products), registry.manifest(DECIDER, version)
    except RegistryError as error:
        raise TwinsError(str(error)) from error
