"""The table of commands."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from apex_actors.cli.errors import explained

app = typer.Typer(
    name="apex",
    help="An actor-model server for AI chat: where does the money for model usage go?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the embedded servers' data.", show_default="the platform's own"),
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="settings")]
Port = Annotated[
    int | None, typer.Option(help="Port to listen on, 0 for a free one.", show_default="settings")
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode", help="development or production.", show_default="APEX_MODE or production"
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(min=1, help="How many processes do it, on one port.", show_default="settings"),
]
TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
FOR_TRACES = "For traffic traces, which do not say it, for example"
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON for programs.")]


@app.command()
def up(
    once: Annotated[
        str | None, typer.Option(help="Ask this question, show the answer, and stop.")
    ] = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    as_json: AsJson = False,
) -> None:
    """Start everything for development: embedded servers, sample data, chat page."""
    from apex_actors.cli.serving import run_up  # noqa: PLC0415 - see the package's docstring

    with explained():
        raise typer.Exit(
            run_up(once=once, as_json=as_json, data_dir=data_dir, host=host, port=port)
        )


@app.command()
def serve(
    mode: ModeOption = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    role: Annotated[
        str,
        typer.Option(
            help="all; gateway: serve clients only; worker: execute runs only.", metavar="ROLE"
        ),
    ] = "all",
    processes: Processes = None,
) -> None:
    """Serve clients and execute their runs, or one of both."""
    from apex_actors.cli.serving import run_node  # noqa: PLC0415

    if role not in {"all", "gateway", "worker"}:
        raise typer.BadParameter("must be all, gateway or worker", param_hint="--role")
    with explained():
        run_node(role, mode=mode, data_dir=data_dir, host=host, port=port, processes=processes)


@app.command()
def worker(mode: ModeOption = None, data_dir: DataDir = None, processes: Processes = None) -> None:
    """Execute runs, without serving clients: the same as `apex serve --role worker`."""
    from apex_actors.cli.serving import run_node  # noqa: PLC0415

    with explained():
        run_node("worker", mode=mode, data_dir=data_dir, processes=processes)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://127.0.0.1:8000",
    token: Annotated[
        str | None, typer.Option(envvar="APEX_TOKEN", help="Bearer token; see `apex token`.")
    ] = None,
    sub: Annotated[str, typer.Option(help="Your name, for a development server's token.")] = "demo",
    org: Annotated[
        str | None,
        typer.Option(help="Your organisation, for the same token.", show_default="the sample's"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a running server, and watch the agents work."""
    from apex_actors.cli.asking import run_ask  # noqa: PLC0415

    with explained():
        raise typer.Exit(run_ask(question, url=url, token=token, sub=sub, org=org, as_json=as_json))


@app.command()
def token(
    sub: Annotated[str, typer.Argument(help="The user.")],
    org: Annotated[
        str | None,
        typer.Option(help="The tenant that owns the cost data.", show_default="the user"),
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="admin or data_admin; may be repeated.")
    ] = None,
    lifetime_s: Annotated[int, typer.Option(help="Seconds until it expires.")] = 3600,
    mode: ModeOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token with the server's own secret."""
    from apex_actors.cli.operating import run_token  # noqa: PLC0415

    with explained():
        run_token(
            sub,
            org=org,
            roles=role or [],
            lifetime_s=lifetime_s,
            as_json=as_json,
            mode=mode,
            data_dir=data_dir,
        )


@app.command()
def revoke(
    user: Annotated[str | None, typer.Option(help="Revoke all tokens of this user.")] = None,
    org: Annotated[
        str | None, typer.Option(help="The user's organisation.", show_default="the user")
    ] = None,
    issued_before: Annotated[
        datetime | None,
        typer.Option(
            formats=TIME_FORMATS,
            metavar="TIME",
            help="Of the user's tokens only those issued before this moment, such as 2026-11-22T10:00:00Z.",
            show_default="now",
        ),
    ] = None,
    jti: Annotated[
        str | None,
        typer.Option(help="Revoke the one token with this id instead."),
    ] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(
            formats=TIME_FORMATS,
            metavar="TIME",
            help="When that token expires, in the same form.",
            show_default="the longest life from now",
        ),
    ] = None,
    mode: ModeOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke tokens: of a user, or one by its id; connections that use them are closed."""
    from apex_actors.cli.revoking import run_revoke  # noqa: PLC0415

    if (user is None) == (jti is None):
        raise typer.BadParameter("give one of --user and --jti")
    if user is None and (org is not None or issued_before is not None):
        raise typer.BadParameter("--org and --issued-before go with --user")
    if jti is None and expires is not None:
        raise typer.BadParameter("--expires goes with --jti")
    with explained():
        run_revoke(
            user=user,
            org=org,
            issued_before=issued_before
            and issued_before.replace(tzinfo=issued_before.tzinfo or UTC),
            jti=jti,
            expires=expires and expires.replace(tzinfo=expires.tzinfo or UTC),
            as_json=as_json,
            mode=mode,
            data_dir=data_dir,
        )


errors = typer.Typer(
    help="Show the reports of runs that failed.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(errors, name="errors")


@errors.command("list")
def list_errors(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    user: Annotated[str | None, typer.Option(help="Of this user only.")] = None,
    org: Annotated[str | None, typer.Option(help="Of this organisation only.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=TIME_FORMATS,
            metavar="TIME",
            help="Not before this moment, such as 2026-11-22T10:00:00Z.",
        ),
    ] = None,
    mode: ModeOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List reports, the latest first, each with the beginning of its id."""
    from apex_actors.cli.reporting import run_list  # noqa: PLC0415

    with explained():
        run_list(
            limit=limit,
            org=org,
            user=user,
            since=since and since.replace(tzinfo=since.tzinfo or UTC),
            as_json=as_json,
            mode=mode,
            data_dir=data_dir,
        )


@errors.command("show")
def show_error(
    report: Annotated[
        str, typer.Argument(metavar="ID", help="The report's id, or a beginning that no other has.")
    ],
    mode: ModeOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a report: whose run it was, when, what happened, with the stack."""
    from apex_actors.cli.reporting import run_show  # noqa: PLC0415

    with explained():
        run_show(report, as_json=as_json, mode=mode, data_dir=data_dir)


prices = typer.Typer(
    help="Show what models cost, and set what a tenant has negotiated.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(prices, name="prices")

Tenant = Annotated[str, typer.Option("--org", "--tenant", help="The tenant whose prices they are.")]


@prices.command("show")
def show_price(
    model: Annotated[str, typer.Argument(help="The model, as requests name it.")],
    at: Annotated[
        datetime | None,
        typer.Option(formats=TIME_FORMATS, metavar="TIME", help="When.", show_default="now"),
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="Of this provider.", show_default="all that list it")
    ] = None,
    processing: Annotated[
        str, typer.Option(metavar="CLASS", help="standard, batch, flex or priority.")
    ] = "standard",
    org: Annotated[
        str | None, typer.Option("--org", "--tenant", help="With the own prices of this tenant.")
    ] = None,
    mode: ModeOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what a model costs on a day: prices, tiers, whose they are and since when."""
    from apex_actors.cli.pricing import run_show  # noqa: PLC0415

    if processing not in {"standard", "batch", "flex", "priority"}:
        raise typer.BadParameter(
            "must be standard, batch, flex or priority", param_hint="--processing"
        )
    moment = at or datetime.now(UTC)
    with explained():
        run_show(
            model,
            at=moment.replace(tzinfo=moment.tzinfo or UTC),
            provider=provider,
            processing=processing,
            org=org,
            as_json=as_json,
            mode=mode,
            data_dir=data_dir,
        )


@prices.command("set")
def set_prices(
    file: Annotated[Path, typer.Argument(help="Prices or discounts, in TOML, JSON or CSV.")],
    org: Tenant,
    mode: ModeOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let these prices hold for a tenant, and none of those before."""
    from apex_actors.cli.pricing import run_set  # noqa: PLC0415

    with explained():
        run_set(file, org=org, as_json=as_json, mode=mode, data_dir=data_dir)


@prices.command("list")
def list_prices(
    org: Tenant, mode: ModeOption = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """List the versions of a tenant's own prices, the latest first."""
    from apex_actors.cli.pricing import run_list  # noqa: PLC0415

    with explained():
        run_list(org=org, as_json=as_json, mode=mode, data_dir=data_dir)


@prices.command("clear")
def clear_prices(
    org: Tenant, mode: ModeOption = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Let list prices hold for a tenant again."""
    from apex_actors.cli.pricing import run_clear  # noqa: PLC0415

    with explained():
        run_clear(org=org, as_json=as_json, mode=mode, data_dir=data_dir)


@prices.command("recompute")
def recompute_prices(
    org: Tenant,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would change.")
    ] = False,
    mode: ModeOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Price all that a tenant has used as prices are now, and say what that changes."""
    from apex_actors.cli.pricing import run_recompute  # noqa: PLC0415

    with explained():
        run_recompute(org=org, dry_run=dry_run, as_json=as_json, mode=mode, data_dir=data_dir)


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="Usage records: JSONL, CSV or a trace; gzip too.")
    ],
    org: Annotated[str, typer.Option(help="The tenant that owns the records.")],
    provider: Annotated[str | None, typer.Option(help=f"{FOR_TRACES} openai.")] = None,
    model: Annotated[str | None, typer.Option(help=f"{FOR_TRACES} gpt-5.2.")] = None,
    start: Annotated[datetime | None, typer.Option(help=f"{FOR_TRACES} 2026-11-01.")] = None,
    user: Annotated[str | None, typer.Option(help=f"{FOR_TRACES} ann.")] = None,
    team: Annotated[str | None, typer.Option(help=f"{FOR_TRACES} support.")] = None,
    feature: Annotated[str | None, typer.Option(help=f"{FOR_TRACES} chat.")] = None,
    environment: Annotated[str | None, typer.Option(help=f"{FOR_TRACES} production.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would come of it, and keep nothing.")
    ] = False,
    mode: ModeOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Import usage records; the same file again changes nothing."""
    from apex_actors.cli.importing import run_import  # noqa: PLC0415

    with explained():
        raise typer.Exit(
            run_import(
                files,
                org=org,
                trace={
                    "provider": provider,
                    "model": model,
                    "start": start and start.replace(tzinfo=start.tzinfo or UTC),
                    "user": user,
                    "team": team,
                    "feature": feature,
                    "environment": environment,
                },
                dry_run=dry_run,
                as_json=as_json,
                mode=mode,
                data_dir=data_dir,
            )
        )


@app.command()
def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is to be done.")
    ] = False,
    mode: ModeOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring the database's schema to this version."""
    from apex_actors.cli.operating import run_migrate  # noqa: PLC0415

    with explained():
        raise typer.Exit(run_migrate(check=check, as_json=as_json, mode=mode, data_dir=data_dir))


@app.command()
def doctor(mode: ModeOption = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check installation, settings and servers, and say what to do."""
    from apex_actors.cli.doctor import run_doctor  # noqa: PLC0415

    raise typer.Exit(run_doctor(as_json=as_json, mode=mode, data_dir=data_dir))


def main() -> None:
    """Entry point of the command ``apex``."""
    app()
