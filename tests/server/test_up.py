"""`apex up` with its embedded servers, from a folder with a space: start, stop, start again."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil

from apex_actors.protocol import Event, RunGrammar, is_event


def command(data_dir, *arguments):
    return [sys.executable, "-m", "apex_actors", "up", "--data-dir", str(data_dir), *arguments]


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("APEX_")}


def servers_of(data_dir):
    """Processes that belong to the data folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        text = " ".join([*(process.info["cmdline"] or ()), process.info["cwd"] or ""])
        if str(data_dir) in text and "apex_actors" not in text:
            found.append(process)
    return found


def test_one_command_asks_and_answers_and_leaves_no_process(data_dir, tmp_path):
    asked = subprocess.run(
        command(data_dir, "--once", "Analyze my AI costs", "--json", "--port", "0"),
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    frames = [json.loads(line) for line in asked.stdout.splitlines()]
    assert RunGrammar().check(Event.from_wire(f) for f in frames if is_event(f)) == []
    assert frames[-1]["payload"]["status"] == "completed"
    assert "Traceback" not in asked.stderr
    assert servers_of(data_dir) == []


def test_a_second_start_finds_the_data_of_the_first_and_ctrl_c_ends_it_well(data_dir):
    links = []
    for _ in range(2):
        started = time.monotonic()
        with subprocess.Popen(
            command(data_dir, "--port", "0"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            links.append(process.stdout.readline())
            took_s = time.monotonic() - started
            # The whole group, as a terminal does it: the embedded servers must not be in it.
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert "Traceback" not in said
    assert all("#token=" in link for link in links)
    assert "sample records" not in said, "the second start loaded the sample again"
    assert took_s < 30
    assert servers_of(data_dir) == []


def test_the_port_it_likes_may_be_taken(data_dir, live_server):
    port = live_server.url.rsplit(":", 1)[1]
    with subprocess.Popen(
        command(data_dir, "--port", port),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        link = process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=30) == 0
    assert link.startswith("http://127.0.0.1:")
    assert f":{port}/" not in link
