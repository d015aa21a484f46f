"""The worker process: settings to a running lane."""

import contextlib
import threading
from collections.abc import Callable

from streams.adapters.routing import Routing
from streams.adapters.service import AdapterService
from streams.adapters.shadows import Shadows
from streams.lane import Lane
from streams.live_products import LiveProducts
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import QUERIES, STATE
from streams.updater.names import LiveNames
from streams.worker.handler import Worker
from streams.worker.hosts import adapters_of, hosted, served_base
from streams.worker.language import LanguageSide
from streams.worker.metrics import WorkerMetrics
from streams.worker.models import CurrentModel
from streams.worker.pool import Pool
from streams.worker.rehearsal import rehearse
from streams.worker.shadow_side import ShadowSide
from trainer.deciders.language.decider import LanguageDecider
from trainer.deciders.language.host import ModelHost
from trainer.deciders.language.model import LanguageModel
from trainer.deciders.language.scenes import SceneMaker
from trainer.deciders.language.served import Router, ServedAdapter
from twin_store.segments import load_definitions

NAME = "worker"


def run(
    settings: Settings,
    stop: threading.Event,
    member: str = "0",
    telemetry: Telemetry | None = None,
    host: ModelHost | None = None,
    router: Router | None = None,
) -> None:
    """Answer until `stop` is set. `member` tells the workers of one deployment apart.

    Args:
        host: where the language model lives, which the caller closes; None for that of the settings, if there is one.
        router: which adapter serves whom; None for those that are released, where the host takes any.

    Raises:
        TwinsError: the topics cannot be read, or another process has this member's name.
        UsageError: the settings' decider cannot be had here.
    """
    telemetry = telemetry or Telemetry(NAME, settings)
    with contextlib.ExitStack() as stack:
        if host is None and (host := hosted(settings, member, telemetry)) is not None:
            stack.callback(host.close)
        metrics = WorkerMetrics(telemetry, host.name if host is not None else None)
        products = stack.enter_context(contextlib.closing(LiveProducts(settings)))
        model = stack.enter_context(contextlib.closing(CurrentModel(settings, products.products)))
        language, names = None, None
        if host is not None:
            names = stack.enter_context(contextlib.closing(LiveNames(settings)))
            router = router or released(stack, settings, host, member)
            language = language_side(stack, settings, host, router, products, names, model, metrics)
        worker = Worker(settings, f"{NAME}-{member}", products, model, metrics, language)

        def alive() -> None:
            telemetry.beat()
            telemetry.ready(bool(lane.partitions))
            metrics.lag.set(lane.lag())
            if names is not None and language is not None:
                names.refresh()
                language.look()

        lane = Lane(
            settings,
            NAME,
            member,
            QUERIES,
            (),
            worker,
            batch_max=settings.worker_batch_max,
            linger_ms=settings.worker_linger_ms,
            on_batch=metrics.batch,
            on_round=alive,
            followed={STATE: worker.follow_from},
            is_full=worker.is_full,
            wait_s=worker.wait_s,
        )
        try:
            lane.run(stop)
        finally:
            telemetry.ready(False)


def base_alone(_segment: str, _customer_id: str) -> ServedAdapter | None:
    """The router of a deployment without adapters."""
    return None


def released(stack: contextlib.ExitStack, settings: Settings, host: ModelHost, member: str) -> Router:
    """The router of the adapters that are released, followed from now on; of the base where the host takes none."""
    adapters = adapters_of(host)
    if adapters is None:
        return base_alone
    service = AdapterService(settings, adapters, f"{NAME}-{member}")
    stack.callback(service.close)
    return service.routing


def language_side(
    stack: contextlib.ExitStack,
    settings: Settings,
    host: ModelHost,
    router: Router,
    products: LiveProducts,
    names: LiveNames,
    current: CurrentModel,
    metrics: WorkerMetrics,
) -> LanguageSide:
    """The worker's side of a language model."""
    scenes = SceneMaker(products.products, load_definitions(), current.reader, names.current)

    def deciders(to: Router) -> Callable[[LanguageModel], LanguageDecider]:
        def decider_of(model: LanguageModel) -> LanguageDecider:
            made = LanguageDecider(host.name, host.version, model, scenes, to, base)
            with products.lock:
                rehearse(made)
            return made

        return decider_of

    base = served_base(settings)
    pool = Pool(host, settings.worker_in_flight_max, settings.worker_linger_ms / 1000)
    shadow = None
    if isinstance(router, Routing):
        shadows = stack.enter_context(contextlib.closing(Shadows(settings)))
        shadow = ShadowSide(host, deciders(router.challenger), router, shadows, metrics)
    soft_s = settings.worker_soft_deadline_ms / 1000
    return LanguageSide(host, deciders(router), pool, metrics, soft_s, shadow)
