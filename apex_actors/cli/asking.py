"""Ask a question over a real WebSocket, as any client would, and show what happens."""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from typing import Any

from rich.console import Console

from apex_actors.cli.live_view import ViewKind, open_view
from apex_actors.client import ApexClient, ClientError

OK, NOT_COMPLETED, NOT_REACHED = 0, 1, 1


def run_ask(
    question: str, *, url: str, token: str | None, sub: str, org: str | None, as_json: bool
) -> int:
    """The command ``ask``; returns its exit code."""
    try:
        bearer = token or development_token(url, sub, org)
    except (OSError, ValueError) as error:
        sys.stderr.write(
            f"apex: no token could be had from {url} ({type(error).__name__}). Start a server with "
            "`apex up`, name another with --url, or give a token with --token or APEX_TOKEN.\n"
        )
        return NOT_REACHED
    return asyncio.run(ask(question, url=url, token=bearer, as_json=as_json, stays_up=True))


async def ask(question: str, *, url: str, token: str, as_json: bool, stays_up: bool = False) -> int:
    """Ask, show each frame as it comes and the answer; 0 when the run completed.

    ``stays_up``: the server is there afterwards, so it is said where the report can be had.
    """
    kind = ViewKind.choose(as_json=as_json, interactive=sys.stdout.isatty())
    view = open_view(kind, Console())
    status: str | None = None
    try:
        async with ApexClient(url, token=token) as client:
            frames = client.frames()
            accepted = await client.send_message(question)
            async for frame in frames:
                view.frame(dict(frame))
                if _ends(frame, str(accepted.run_id)):
                    status = frame["payload"]["status"]
                    break
    except ClientError as error:
        sys.stderr.write(f"apex: {error}\n")
        return NOT_REACHED
    finally:
        view.finish()
    if status is not None and stays_up and not as_json:
        sys.stderr.write(
            f"The report stays at {url.rstrip('/')}/api/runs/{accepted.run_id}/report.md\n"
        )
    return OK if status == "completed" else NOT_COMPLETED


def development_token(url: str, sub: str, org: str | None = None) -> str:
    """A token from a development server's own sign-in; OSError or ValueError when there is none."""
    request = urllib.request.Request(  # noqa: S310 - the URL is the user's own, checked below
        f"{url.rstrip('/')}/dev/token",
        data=json.dumps({"sub": sub, "org": org}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    if request.type not in {"http", "https"}:
        raise ValueError("the URL must begin with http:// or https://")
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        token: str = json.load(answer)["token"]
    return token


def _ends(frame: Any, run_id: str) -> bool:
    return bool(frame.get("type") == "run_finished" and frame.get("run_id") == run_id)
