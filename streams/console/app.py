"""The console's FastAPI application. It has no log of its own requests: their paths name customers."""

from __future__ import annotations

from importlib import resources
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import AwareDatetime, BaseModel, Field
from starlette.middleware.base import RequestResponseEndpoint

from streams.console.exposition import exposition
from streams.console.state import ConsoleState
from streams.errors import TwinsError, UsageError
from streams.settings import Settings
from streams.telemetry import Telemetry
from twin_store.messages import Profile
from twin_store.messages.base import Identifier
from twin_store.messages.codec import epoch_seconds
from twin_store.messages.decisions import OPTIONS_MAX, Basket, QuestionKind

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class AskBody(BaseModel):
    """A question, as `twins ask` puts it. Without `at` it is about now."""

    customer_id: Identifier
    kind: QuestionKind = "purchase"
    skus: list[Identifier] = Field(default_factory=list, max_length=OPTIONS_MAX)
    baskets: list[Basket] = Field(default_factory=list, max_length=10)
    campaign_id: Identifier | None = None
    store_id: Identifier | None = None
    at: AwareDatetime | None = None


def build(settings: Settings, state: ConsoleState, telemetry: Telemetry) -> FastAPI:
    """The application over one state, with the health and metrics of its process."""
    app = FastAPI(
        title="Shopping twins", docs_url="/api/docs", redoc_url=None, openapi_url="/api/openapi.json"
    )
    if settings.bind_host in LOOPBACK:
        # A page of another site could otherwise reach the API under a name that resolves to this machine.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))
    page = resources.files("streams.console").joinpath("page.html").read_text(encoding="utf-8")

    @app.get("/", response_class=HTMLResponse)
    def index() -> str:
        return page

    requests = telemetry.counter("requests", "Requests answered", ["status"])

    @app.middleware("http")
    async def count(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        requests.labels(response.status_code).inc()
        return response

    @app.get("/healthz")
    def healthz(response: Response) -> dict[str, bool]:
        well, _ = telemetry.health()
        response.status_code = 200 if well else 503
        return {"ok": well}

    @app.get("/readyz")
    def readyz(response: Response) -> dict[str, bool]:
        ready = state.is_reachable()
        response.status_code = 200 if ready else 503
        return {"ok": ready}

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> str:
        return exposition(state.metrics())

    @app.get("/api/status")
    def status() -> dict[str, Any]:
        return state.status()

    @app.get("/api/twins/{customer_id:path}")
    def twin(customer_id: str) -> Profile:
        try:
            profile = state.profile(customer_id)
        except TwinsError as error:
            raise HTTPException(503, str(error)) from error
        if profile is None:
            raise HTTPException(404, "no customer of this id has a profile")
        return profile

    @app.post("/api/ask")
    def ask(body: AskBody) -> dict[str, Any]:
        return _ask(state, body)

    return app


def _ask(state: ConsoleState, body: AskBody) -> dict[str, Any]:
    try:
        from streams.asking import Asked

        asked = Asked(
            customer_id=body.customer_id,
            kind=body.kind,
            skus=body.skus,
            baskets=body.baskets,
            campaign_id=body.campaign_id,
            store_id=body.store_id,
            at=None if body.at is None else epoch_seconds(body.at),
        )
        return state.ask(asked).as_json()
    except UsageError as error:
        raise HTTPException(422, str(error)) from error
    except TwinsError as error:
        raise HTTPException(503, str(error)) from error
    except ModuleNotFoundError as error:
        detail = (
            f"this console cannot answer: {error.name} is missing; pip install 'shopping-twins[evidence]'"
        )
        raise HTTPException(501, detail) from error
