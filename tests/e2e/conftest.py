"""A real Chromium for the tests of the chat page, and a network line that a test can cut."""

import asyncio
import contextlib
import ipaddress
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from apex_actors.agents.cost_tools import BuildSavingsPlan
from apex_actors.server.node import DEVELOPMENT_ORG

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
CHROMIUM_FLAGS = [
    "--no-sandbox",  # the tests may run as root, where Chromium's sandbox refuses to start
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


class Line:
    """The network between browser and server: a SOCKS 5 proxy whose connections can be cut."""

    def __init__(self) -> None:
        self.up = True
        self.deaf = False
        """Takes what the browser sends and brings nothing back."""
        self.swallowed_bytes = 0
        """What the server sent while the line was deaf."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"socks5://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def cut(self) -> None:
        """Every connection ends at once, as when a cable is pulled."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with contextlib.AsyncExitStack() as stack:
            # A cut line, or a side that went away, ends both directions.
            stack.enter_context(contextlib.suppress(OSError, asyncio.IncompleteReadError))
            self._keep(writer, stack)
            host, port = await self._greet(reader, writer)
            if not self.up:
                return
            server_reader, server_writer = await asyncio.open_connection(host, port)
            self._keep(server_writer, stack)
            writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._forward(reader, server_writer, to_browser=False))
                directions.create_task(self._forward(server_reader, writer, to_browser=True))

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int]:
        """The opening of RFC 1928: no authentication, one CONNECT."""
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x00")
        *_, kind = await reader.readexactly(4)
        if kind == 1:
            host = str(ipaddress.IPv4Address(await reader.readexactly(4)))
        else:
            (length,) = await reader.readexactly(1)
            host = (await reader.readexactly(length)).decode()
        return host, int.from_bytes(await reader.readexactly(2), "big")

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, to_browser: bool
    ) -> None:
        try:
            while data := await source.read(65536):
                if to_browser and self.deaf:
                    self.swallowed_bytes += len(data)
                    continue
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.transport.abort()

    def _keep(self, writer: asyncio.StreamWriter, stack: contextlib.AsyncExitStack) -> None:
        self._writers.add(writer)
        stack.callback(writer.transport.abort)
        stack.callback(self._writers.discard, writer)


@dataclass
class Watch:
    """What a page must never do, and what it said over its sockets."""

    console_errors: list[str] = field(default_factory=list)
    """Script errors and refusals of the Content-Security-Policy among them."""
    requests: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        page.on(
            "console",
            lambda message: message.type == "error" and self.console_errors.append(message.text),
        )
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.sockets.append(socket.url))


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    proxy = Line()
    await proxy.open()
    yield proxy
    await proxy.close()


@pytest.fixture(scope="session")
def launch_chromium() -> Callable[..., AbstractAsyncContextManager[Browser]]:
    """A context manager that runs a headless Chromium; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium found: install the package 'chromium' to run the browser tests")

    @asynccontextmanager
    async def launch(**options: Any) -> AsyncIterator[Browser]:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=CHROMIUM_FLAGS, **options
            )
            yield browser
            await browser.close()

    return launch


@pytest.fixture
async def chromium(
    line: Line, launch_chromium: Callable[..., AbstractAsyncContextManager[Browser]]
) -> AsyncIterator[Browser]:
    # Chromium goes around proxies for loopback addresses unless told not to.
    async with launch_chromium(proxy={"server": line.url, "bypass": "<-loopback>"}) as browser:
        yield browser


@pytest.fixture
async def page(chromium: Browser) -> Page:
    return await chromium.new_page(viewport={"width": 1280, "height": 800})


@pytest.fixture
def watch(page: Page) -> Watch:
    watching = Watch()
    watching.attach(page)
    return watching


class Chat:
    """A tab with the chat page, in the words of its users."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def open(self, url: str, token: str) -> None:
        await self.page.goto(f"{url}/#token={token}")
        await self.expect_online()

    async def expect_online(self) -> None:
        """Long enough for a few rounds of backing off."""
        connection = self.page.locator("#connection")
        await expect(connection).to_have_attribute("data-status", "online", timeout=30_000)

    async def ask(self, text: str) -> None:
        await self.page.get_by_label("Your question").fill(text)
        await self.page.keyboard.press("Enter")

    async def expect_run(self, status: str) -> None:
        """How the last run on the page stands."""
        run = self.page.locator(".run").last
        await expect(run).to_have_attribute("data-status", status, timeout=60_000)

    async def expect_at_the_plan(self) -> None:
        """The run is at the tool that ``slow_plan`` holds up."""
        tool = self.page.locator('.tool[data-tool="build_savings_plan"][data-status="running"]')
        await expect(tool.last).to_be_visible(timeout=30_000)

    async def expect_threads(self, *titles: str) -> None:
        """What is listed, latest first."""
        await expect(self.page.locator(".thread-title")).to_have_text(list(titles))

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def thread(self, title: str) -> Locator:
        """The line of a thread in the list."""
        return self.page.locator(".thread").filter(has_text=title)

    async def open_thread(self, title: str) -> None:
        await self.thread(title).locator(".thread-open").click()

    async def use_tool(self, name: str, title: str) -> None:
        """Rename or delete: the tools of a thread come with the pointer."""
        await self.thread(title).hover()
        await self.button(f"{name} “{title}”").click()


@pytest.fixture
def chat_in() -> type[Chat]:
    """``chat_in(page)``: the chat page in a tab of the test's own."""
    return Chat


@pytest.fixture
def slow_plan(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """The savings plan takes until it is stopped; set the event to let it be built."""
    build, free = BuildSavingsPlan.run, asyncio.Event()

    async def slow(tool: Any, arguments: Any, context: Any) -> Any:
        await free.wait()
        return await build(tool, arguments, context)

    monkeypatch.setattr(BuildSavingsPlan, "run", slow)
    return free


@pytest.fixture
def node_token(sample_node: Any) -> str:
    """A token for one user of the node in this process, whom nobody else is."""
    token, _ = sample_node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)
    return str(token)


# The node is asked for first, so that it is closed last: it checks that nothing is left running.
@pytest.fixture
async def chat(sample_node: Any, node_token: str, page: Page, watch: Watch) -> AsyncIterator[Chat]:
    """A signed-in tab on the node in this process; it must not have said an error in the end."""
    tab = Chat(page)
    await tab.open(sample_node.url, node_token)
    yield tab
    assert watch.console_errors == []


@pytest.fixture
async def other_chat(sample_node: Any, node_token: str, chat: Chat) -> Chat:
    """Another tab of the same user."""
    browser = chat.page.context.browser
    assert browser is not None
    tab = Chat(await browser.new_page(viewport={"width": 1280, "height": 800}))
    await tab.open(sample_node.url, node_token)
    return tab
