"""A node for each module of attacks, watched from its first moment to its last."""

import asyncio
import os
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import uvloop
from pydantic import SecretStr

from apex_actors.server.settings import Settings, load_settings

# The tables are shared with the tests that search a server's whole output; tests are no package.
sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("attack_kit")

from attack_kit.target import LogWatch, Target, open_files  # noqa: E402 - found by the lines above

#: Signs the tokens of the nodes under attack, good and forged.
KEY = "a key for attacks, known to the attacks alone"


@pytest.fixture(scope="module")
def base_settings(
    admin_database_url: str,
    template_database: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Settings]:
    """Settings of a development node on a database of its own, with a known key."""
    redis_url = os.environ.get("APEX_TEST_REDIS_URL")
    redis_url = redis_url or request.getfixturevalue("servers").redis_url
    name = f"apex_attack_{uuid.uuid4().hex[:12]}"
    with (
        psycopg.connect(admin_database_url, autocommit=True) as connection,
        redis.Redis.from_url(redis_url) as cache,
        pytest.MonkeyPatch.context() as environment,
    ):
        cache.flushall()
        connection.execute(f"create database {name} template {template_database}".encode())
        for variable in list(os.environ):
            if variable.startswith("APEX_"):
                environment.delenv(variable)
        url = psycopg.conninfo.make_conninfo(admin_database_url, dbname=name)
        environment.setenv("APEX_DATABASE_URL", url)
        environment.setenv("APEX_REDIS_URL", redis_url)
        settings = load_settings(
            mode="development", data_dir=tmp_path_factory.mktemp("attack"), port=0
        )
        yield changed(settings, auth={"secret": SecretStr(KEY)})
        connection.execute(f"drop database {name} with (force)".encode())
        cache.flushall()


def changed(settings: Settings, **groups: dict[str, Any]) -> Settings:
    """The settings with some of a group's values replaced; ``limits`` are the gateway's."""
    limits = groups.pop("limits", {})
    if limits:
        gateway = groups.setdefault("gateway", {})
        gateway["limits"] = settings.gateway.limits.model_copy(update=limits)
    update = {
        name: getattr(settings, name).model_copy(update=values) for name, values in groups.items()
    }
    return settings.model_copy(update=update)


@contextmanager
def watched(settings: Settings, *, alone: bool = True) -> Iterator[Target]:
    """A running node; nothing may be left of it, nothing may have gone wrong inside.

    Files are counted where no other node of the module opens some meanwhile (``alone``).
    """
    # libuv opens a pipe for signals with its first loop and keeps it.
    uvloop.new_event_loop().close()
    files = open_files()
    with LogWatch().installed() as logs:
        target = Target(settings, logs)
        target.secret(KEY)
        target.start()
        try:
            yield target
            target.assert_nothing_remains()
        finally:
            target.stop()
        assert target.left == []
        target.assert_kept_quiet()
    assert not alone or open_files() - files == Counter(), "file descriptors were left open"


@pytest.fixture(scope="session")
def start_target() -> Callable[..., Any]:
    """``with start_target(settings, gateway={…}, limits={…}) as target:``."""

    @contextmanager
    def start(settings: Settings, **groups: dict[str, Any]) -> Iterator[Target]:
        with watched(changed(settings, **groups), alone=False) as target:
            yield target

    return start


#: No attack of the tables is about rates: they have tests of their own.
GENEROUS = {
    "messages_per_s": 1e6,
    "messages_burst": 10**6,
    "bytes_per_s": 1e9,
    "bytes_burst": 10**9,
    "handshakes_per_s": 1e6,
    "handshakes_burst": 10**6,
    "connections_per_user": 10**4,
}


@pytest.fixture(scope="module")
def target(base_settings: Settings, request: pytest.FixtureRequest) -> Iterator[Target]:
    """The node that this module's attacks go to; a module may say ``SETTINGS = {"gateway": {…}}``, and
    ``ALONE = False`` where it starts other nodes at the same time."""
    groups = dict(getattr(request.module, "SETTINGS", {}))
    groups["limits"] = GENEROUS | groups.get("limits", {})
    alone = getattr(request.module, "ALONE", True)
    with watched(changed(base_settings, **groups), alone=alone) as running:
        yield running


@pytest.fixture(autouse=True)
async def _serves_on(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Whatever the attack did: the server serves the next client."""
    if "target" not in request.fixturenames:
        yield
        return
    target: Target = request.getfixturevalue("target")
    pending = request.node.get_closest_marker("xfail") is not None
    with target.forgiven() if pending else nullcontext():
        yield
        await target.serves_a_good_client()
        if pending:
            # What is still to go wrong of it must not be laid at the next one's door.
            await asyncio.to_thread(target.assert_nothing_remains)
