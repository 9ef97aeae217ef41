"""``/api/runs/{run_id}``: how a run stands, and links to what it made."""

from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import Field

from apex_actors.gateway.http.access import Token, only_query
from apex_actors.gateway.http.errors import errors
from apex_actors.gateway.http.parameters import parse_id
from apex_actors.gateway.http.reports import FORMS, charts_in
from apex_actors.gateway.http.services import HttpServices, Services
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.notices import RunReply
from apex_actors.protocol.payloads import Artifact


class RunWithArtifacts(RunReply):
    """The wire's `run`, and what can be fetched of it; the links are good for a short time."""

    artifacts: tuple[Artifact, ...] = Field(strict=False)


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["runs"], responses=errors(401, 404, 422, 503))

    @routes.get(
        "/api/runs/{run_id}",
        response_model=RunWithArtifacts,
        dependencies=[Depends(only_query())],
    )
    async def run(run_id: str, user: Token, services: Services) -> Response:
        """The state of a run: the wire's `run`, with signed links to its report and charts."""
        number = parse_id(run_id, "run")
        state = await services.threads.run(user, number)
        answer = RunWithArtifacts.model_construct(
            # Checked when it was made: nothing is gained by doing it again.
            **dict(state),
            artifacts=await artifacts(user.identity, number, services),
        )
        return Response(answer.model_dump_json(), media_type="application/json")

    return routes


async def artifacts(user: Identity, run_id: UUID, services: HttpServices) -> tuple[Artifact, ...]:
    """What can be fetched of a run, with fresh links; empty while there is no answer."""
    stored = await services.reports.of_user(user, run_id)
    if stored is None:
        return ()
    base = f"/api/runs/{run_id}"
    charts = await charts_in(stored)
    return (
        *(
            Artifact(
                name=f"report.{ending}",
                kind=kind,
                url=services.sign_link(f"{base}/report.{ending}"),
            )
            for kind, ending, _ in FORMS
            # Without figures there is no table of them.
            if ending != "csv" or charts is not None
        ),
        *(
            Artifact(
                name=f"{name}.svg",
                kind="chart",
                url=services.sign_link(f"{base}/charts/{name}.svg"),
            )
            for name in charts or ()
        ),
    )
