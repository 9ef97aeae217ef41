"""A node's HTTP side: clients, tokens, and a run with an answer."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from apex_actors.costs.levers import build_plan
from apex_actors.costs.markdown import render_markdown
from apex_actors.costs.report import CostReport, build_report
from apex_actors.costs.timerange import TimeRange
from apex_actors.gateway.http import HttpServices, build_app
from apex_actors.protocol.identity import Identity, Role
from apex_actors.server.node import Node

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
RANGE = TimeRange.days(date(2026, 11, 2), date(2026, 11, 12))

#: A name that would be markup in HTML and SVG, and a formula in a spreadsheet.
NASTY = "=cmd|'<script>alert(1)</script>'!A1"


def usage_row(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "record_id": f"r{number}",
        "occurred_at": (START + timedelta(hours=number)).isoformat(),
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "input_tokens": 100_000,
        "output_tokens": 10_000,
        "feature": "search",
        "deferrable": True,
        **fields,
    }


def usage_file(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


@pytest.fixture
def bearer(node: Node) -> Callable[..., dict[str, str]]:
    """Headers of a user: of the own organisation, unless another is named."""

    def make(sub: str = "ann", *, org: str | None = None, roles: tuple[Role, ...] = ()):
        token, _ = node.authority.issue(sub=sub, org=org, roles=roles, lifetime_s=600)
        return {"Authorization": f"Bearer {token}"}

    return make


@pytest.fixture
async def http(node: Node) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the node, over a real socket."""
    async with httpx.AsyncClient(base_url=node.url, timeout=30) as client:
        yield client


@pytest.fixture
def services(node: Node) -> HttpServices:
    """What the node's routes were given."""
    return node._gateway.server.config.app.state.services


@pytest.fixture
async def serve(services: HttpServices) -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    """Clients of the application with some of its services replaced: ``serve(verify=…)``."""
    clients: list[httpx.AsyncClient] = []

    def make(**changes: Any) -> httpx.AsyncClient:
        app = build_app(replace(services, **changes))
        transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 4711))
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://chat.example"))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


async def cost_report(node: Node, org: str = "ann") -> CostReport:
    """A report on a few requests with a nasty name among them."""
    rows = [usage_row(number) for number in range(200)]
    rows.append(usage_row(500, record_id="n", feature=NASTY, occurred_at=START.isoformat()))
    rows.append(usage_row(501, record_id="u", model="orion-7b", occurred_at=START.isoformat()))
    usage = node.stores.usage
    await usage.import_file(org, io.BytesIO(usage_file(*rows)), name="f", catalogue=node.catalogue)
    requests = list(usage.reader.requests(org, RANGE))
    return build_report(
        summary=await usage.summary(org, RANGE),
        time_range=RANGE,
        plan=await asyncio.to_thread(
            build_plan, requests, catalogue=node.catalogue, time_range=RANGE
        ),
        price_version=node.catalogue.version,
        sample=False,
    )


async def stored_answer(
    node: Node, content: str, report: str, *, sub: str = "ann", org: str | None = None
) -> UUID:
    """A finished run of this user with an answer; its id."""
    position = await node.stores.log.open(Identity(org=org or sub, sub=sub))
    run_id, thread_id, message_id = uuid4(), uuid4(), uuid4()
    async with node.stores.database.transaction() as connection:
        await connection.execute(
            "insert into apex.threads (id, user_id, title) values (%s, %s, 'Costs')",
            (thread_id, position.user_id),
        )
        await connection.execute(
            "insert into apex.messages (id, user_id, thread_id, run_id, role, content) "
            "values (%s, %s, %s, %s, 'user', 'What do I spend?')",
            (message_id, position.user_id, thread_id, run_id),
        )
        await connection.execute(
            "insert into apex.runs (id, user_id, thread_id, message_id, pipeline, priority,"
            " accept_no, status, attempt) values (%s, %s, %s, %s, 'costs', 1, 1, 'completed', 1)",
            (run_id, position.user_id, thread_id, message_id),
        )
        await connection.execute(
            "insert into apex.results (run_id, content, report) values (%s, %s, %s)",
            (run_id, content, report),
        )
    return run_id


@pytest.fixture
async def answered(node: Node) -> UUID:
    """A run of "ann" that was answered with a cost report."""
    report = await cost_report(node)
    return await stored_answer(node, render_markdown(report), report.model_dump_json())


@pytest.fixture
def store_answer() -> Callable[..., Any]:
    """Store an answer of one's own: ``await store_answer(node, content, report)``."""
    return stored_answer
