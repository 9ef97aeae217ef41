"""The benchmarks of the gateway: what they print and how they judge; never how fast anything is."""

import json
import multiprocessing
import os
import resource
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol

#: Each in the order of the output, with its unit, its target and whether uvicorn's stands below.
FIGURES = {
    "ping_pong_cpu_us": ("us", "ratio >= 0.6"),
    "ping_pong_busy_percent": ("percent", "ours >= 95"),
    "ping_pong_burst_cpu_us": ("us", None),
    "connect_cpu_us": ("us", "ratio >= 0.5"),
    "connect_one_user_cpu_us": ("us", None),
    "bytes_per_connection": ("bytes", "ours <= 16,384"),
    "idle_10k_cpu_percent": ("percent", "ours <= 5"),
    "fan_out_per_s": ("frames/s", "ratio >= 0.5"),
    "fan_out_cpu_us": ("us", None),
    "fan_out_busy_percent": ("percent", None),
    "ping_under_load_ms_p99": ("ms", "ours <= 50"),
    "ping_under_load_ms_p50": ("ms", None),
}
WITHOUT_UVICORN = {"ping_under_load_ms_p99", "ping_under_load_ms_p50"}
COSTS = {name for name in FIGURES if name.endswith("cpu_us")}

#: At a tiny scale these may come out as nothing: memory comes in pages, time in ticks.
MAY_BE_NOTHING = {"bytes_per_connection", "idle_10k_cpu_percent"}


@pytest.fixture(scope="module")
def of_gateway(bench):
    """What ``bench.py gateway --json`` prints at a tiny scale."""
    ran = bench("gateway", "--json", "--rounds", "1", "--scale", "0.005", timeout_s=300)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def frames(parts):
    return parts("gateway.frames")


@pytest.fixture(scope="module")
def clients(parts):
    return parts("gateway.clients")


@pytest.fixture(scope="module")
def sides(parts):
    return parts("gateway.sides").Side


@pytest.fixture
def board(parts):
    """Make a board for a run at this scale."""
    return lambda scale=1.0: parts("gateway.board").Board(parts("settings").Settings(scale=scale))


@pytest.fixture
def goal(parts):
    figures = parts("figures")
    return figures.Goal("speed", "frames/s", figures.Target("ratio", ">=", 0.5), "of frames")


# -- the script --------------------------------------------------------------------------------


def test_json_has_the_bench_the_machine_and_the_figures(of_gateway):
    assert list(of_gateway) == ["bench", "machine", "figures"]
    assert of_gateway["bench"] == "gateway"


def test_each_figure_stands_there_and_below_it_the_one_beside_uvicorns_own_class(of_gateway):
    expected = []
    for name in FIGURES:
        expected += [name] if name in WITHOUT_UVICORN else [name, f"{name}_uvicorn"]
    assert [figure["name"] for figure in of_gateway["figures"]] == expected


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_its_unit_its_target_and_both_sides(of_gateway, name):
    figure = next(each for each in of_gateway["figures"] if each["name"] == name)
    assert (figure["unit"], figure["target"]) == FIGURES[name]
    assert figure["met"] is None  # at another scale than the full one
    if name not in MAY_BE_NOTHING:
        assert figure["ours"] > 0
        assert figure["baseline"] > 0


@pytest.mark.parametrize("name", sorted(COSTS))
def test_a_cost_is_compared_as_bare_over_ours(of_gateway, name):
    figure = next(each for each in of_gateway["figures"] if each["name"] == name)
    assert figure["ratio"] == pytest.approx(figure["baseline"] / figure["ours"], rel=0.01)


def test_the_figures_beside_uvicorns_class_are_for_information(of_gateway):
    seconds = [each for each in of_gateway["figures"] if each["name"].endswith("_uvicorn")]
    assert {each["target"] for each in seconds} == {None}
    assert {each["note"] for each in seconds} == {
        "baseline: uvicorn's own class, websockets-sansio"
    }


def test_what_the_node_was_loaded_with_is_said(of_gateway):
    figure = next(
        each for each in of_gateway["figures"] if each["name"] == "ping_under_load_ms_p99"
    )
    assert "an import of 1,500 rows" in figure["note"]


# -- the board ---------------------------------------------------------------------------------


def test_a_figure_is_the_median_of_what_was_measured(board, sides, goal):
    filled = board()
    for ours, bare in ((10, 5), (1000, 1), (30, 7)):
        filled.add(sides.OURS, {"speed": ours})
        filled.add(sides.BARE, {"speed": bare})
    (figure,) = filled.figures([goal])
    assert (figure.ours, figure.baseline, figure.met) == (30, 5, True)


def test_uvicorns_class_stands_below_where_it_was_measured(board, sides, goal):
    filled = board()
    for side, value in zip(sides, (4, 8, 2), strict=True):
        filled.add(side, {"speed": value})
    first, second = filled.figures([goal])
    assert (first.goal.name, first.baseline, first.met) == ("speed", 8, True)
    assert (second.goal.name, second.baseline, second.met) == ("speed_uvicorn", 2, None)


def test_remarks_follow_the_note_of_a_figure(board, sides, goal):
    filled = board()
    for side in (sides.OURS, sides.BARE):
        filled.add(side, {"speed": 1})
    filled.remark("speed", "on a rainy day")
    (figure,) = filled.figures([goal])
    assert figure.goal.note == "of frames; on a rainy day"


def test_what_could_not_be_measured_as_wanted_is_not_judged(board, sides, goal):
    filled = board()
    for side in (sides.OURS, sides.BARE):
        filled.add(side, {"speed": 1})
    filled.do_not_judge("speed", "with half of the frames")
    (figure,) = filled.figures([goal])
    assert figure.met is None
    assert "with half of the frames" in figure.goal.note


def test_fewer_files_than_connections_are_said_and_not_judged(parts, board, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (4096, 4096))
    idle, filled = parts("gateway.idle"), board()
    assert idle.idle_connections(filled) == 4096 - idle.SPARE_DESCRIPTORS
    for side in parts("gateway.sides").Side:
        filled.add(side, {idle.CPU: 1})
    figure = filled.figures([idle.GOALS[1]])[0]
    assert figure.met is None
    assert "only 3,596 connections: a process may have 4,096 files open" in figure.goal.note


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(parts, board, monkeypatch):
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 20_000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    assert parts("gateway.idle").idle_connections(board()) == 10_000
    assert raised == [(20_000, 20_000)]


# -- frames ------------------------------------------------------------------------------------


@given(payload=st.binary(max_size=300))
def test_a_server_reads_the_frame_of_a_client(frames, payload):
    server = Protocol(SERVER)
    server.receive_data(frames.masked(payload))
    (frame,) = server.events_received()
    assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.TEXT, payload, True)


@given(
    payloads=st.lists(st.binary(max_size=200) | st.just(bytes(70_000)), max_size=4), data=st.data()
)
def test_the_frames_of_a_server_are_found_however_they_are_cut(frames, payloads, data):
    stream = b"".join(Frame(Opcode.TEXT, payload).serialize(mask=False) for payload in payloads)
    cut = data.draw(st.integers(0, len(stream)))
    found, rest = [], b""
    for piece in (stream[:cut], stream[cut:]):
        received = rest + piece
        found += [received[begin:end] for _, begin, end in frames.split(received)]
        rest = received[frames.end_of_last(received) :]
    assert found == payloads
    assert rest == b""


# -- clients and servers -----------------------------------------------------------------------


@pytest.fixture
def answering():
    """A port whose server answers the first request of the first client with these bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def answer(reply):
        def serve():
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(reply)

        threads.append(threading.Thread(target=serve))
        threads[0].start()
        return listener.getsockname()[1]

    yield answer
    for thread in threads:
        thread.join()
    listener.close()


def test_a_refused_handshake_ends_the_run_with_what_the_server_said(clients, answering):
    port = answering(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
    handshakes = clients.Handshakes(port, [b"GET /ws HTTP/1.1\r\n\r\n"], b"HTTP/1.1 101 ")
    with pytest.raises(clients.BrokenRunError, match="401 Unauthorized"):
        handshakes.keep()


def test_a_connection_that_the_server_closes_ends_the_run(clients, answering):
    port = answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    (sock,) = clients.Handshakes(port, [b"GET /ws HTTP/1.1\r\n\r\n"], b"HTTP/1.1 101 ").keep()
    with sock, pytest.raises(clients.BrokenRunError, match="has closed a connection"):
        clients.Crowd([sock]).take(b"pong")


def test_pings_are_answered_as_messages_and_as_frames(clients, frames):
    server, client = socket.socketpair()
    with server, client:
        message = b'{"type":"ping","server_time":"now"}'
        server.sendall(Frame(Opcode.TEXT, message).serialize(mask=False))
        server.sendall(Frame(Opcode.PING, struct.pack("!I", 7)).serialize(mask=False))
        crowd = clients.Crowd([client])
        assert crowd.answer_pings(0.05) == 2
        crowd.close()
        assert server.recv(4096) == frames.PONG_MESSAGE + frames.masked(
            struct.pack("!I", 7), frames.PONG
        )


@pytest.fixture
def piped(parts, sides):
    """The handle of a server, and the end of the pipe at which the server would be."""
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        yield parts("gateway.servers").Server(sides.BARE, 0, os.getpid(), ours), theirs


def test_a_command_that_failed_in_the_server_is_an_error_here(parts, piped):
    server, pipe = piped
    pipe.send((False, "fan_out: OSError: no"))
    with pytest.raises(parts("gateway.servers").ServerError, match="fan_out: OSError: no"):
        server.ask("fan_out")
    assert pipe.recv() == ("fan_out", {})


def test_a_server_that_died_is_an_error_here(parts, piped):
    server, pipe = piped
    pipe.close()
    with pytest.raises(parts("gateway.servers").ServerError, match="bare has died"):
        server.reply()


def test_time_in_the_queue_for_a_core_does_not_count_as_idle(parts):
    used = parts("gateway.servers").Used
    spent = used(at_s=14.0, cpu_s=4.0, queued_s=6.0).since(used(at_s=4.0, cpu_s=1.0, queued_s=1.0))
    assert spent.core_percent == 30
    assert spent.busy_percent == 60
