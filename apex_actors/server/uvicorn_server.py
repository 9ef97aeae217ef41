"""uvicorn with our protocols, our socket and our signals."""

import contextlib
import functools
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

from apex_actors.gateway.flusher import Flusher
from apex_actors.gateway.handshake import Doorkeeper
from apex_actors.gateway.http_protocol import HttpProtocol
from apex_actors.gateway.settings import GatewaySettings
from apex_actors.gateway.websocket_protocol import WebSocketProtocol, Welcome

#: Kernel memory for what a client has not taken yet: a slow one is noticed soon.
SEND_BUFFER_BYTES = 64 * 1024

BACKLOG = 2048


class PortTakenError(Exception):
    """Another program listens there."""


def listen(host: str, port: int, *, any_free: bool) -> socket.socket:
    """A listening socket on ``port``, or with ``any_free`` on another one when that is taken.

    Raises PortTakenError, with what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reason = "no address"
    for candidate in (port, 0) if any_free else (port,):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            sock.bind((host, candidate))
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            reason = error.strerror or type(error).__name__
            continue
        return sock
    raise PortTakenError(
        f"cannot listen on {host} port {port}: {reason}. Choose another with --port."
    )


def browser_url(host: str, port: int) -> str:
    """Where browsers on this machine find what listens there."""
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - only compared
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


class UvicornServer(uvicorn.Server):
    """A server whose signals are handled by the node: it drains before it exits."""

    def stop_listening(self) -> None:
        """Let nobody new in; whoever is connected is served on."""
        if self.started:
            for server in self.servers:
                server.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield


def build_server(
    app: FastAPI, *, doorkeeper: Doorkeeper, welcome: Welcome, settings: GatewaySettings
) -> UvicornServer:
    """The server of one node; ``serve(sockets=[...])`` runs it until ``should_exit`` is set."""
    flusher = Flusher()

    def websocket(**kwargs: object) -> WebSocketProtocol:
        return WebSocketProtocol(
            doorkeeper=doorkeeper,
            settings=settings,
            welcome=welcome,
            flusher=flusher,
            server_state=kwargs["server_state"],
        )

    config = uvicorn.Config(
        app,
        http=functools.partial(HttpProtocol, gateway_settings=settings),  # type: ignore[arg-type]  # called, not subclassed
        ws=websocket,  # type: ignore[arg-type]  # as above
        lifespan="off",
        # Both would print query strings; ours is configured once, by the server.
        log_config=None,
        access_log=False,
        log_level="warning",
        # The address of the peer decides who may have development tokens: no header may change it.
        proxy_headers=False,
        server_header=False,
        ws_ping_interval=None,
        # As long as for the first request of a connection.
        timeout_keep_alive=settings.handshake_timeout_s,  # type: ignore[arg-type]  # of a timer
        timeout_graceful_shutdown=5,
    )
    return UvicornServer(config)
