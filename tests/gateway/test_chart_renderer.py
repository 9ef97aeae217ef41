"""Charts are drawn in a process of their own."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from apex_actors.costs import chart_process
from apex_actors.costs.charts import SCHEMA
from apex_actors.gateway.chart_renderer import (
    MAX_WAITING,
    ChartError,
    ChartRenderer,
    ChartsBusyError,
)


def bar(name: str = "a") -> dict:
    return {
        "$schema": SCHEMA,
        "data": {"values": [{"name": name, "usd": 1}]},
        "mark": "bar",
        "encoding": {
            "x": {"field": "usd", "type": "quantitative"},
            "y": {"field": "name", "type": "nominal"},
        },
    }


@pytest.fixture
async def renderer():
    made = ChartRenderer()
    yield made
    await made.close()


async def test_specifications_become_svg_and_each_answer_goes_with_its_question(renderer):
    names = [f"name {number}" for number in range(5)]

    drawn = await asyncio.gather(*(renderer.render(bar(name)) for name in names))

    for name, svg in zip(names, drawn, strict=True):
        root = ET.fromstring(svg)  # noqa: S314 - our own SVG
        assert name in {"".join(each.itertext()) for each in root.iter()}


async def test_names_are_text_whatever_stands_in_them(renderer):
    svg = await renderer.render(bar("<script>alert(1)</script>&\"'"))

    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


async def test_the_loop_goes_on_while_a_chart_is_drawn(renderer):
    drawing = asyncio.create_task(renderer.render(bar()))
    turns = 0
    while not drawing.done():
        await asyncio.sleep(0.001)
        turns += 1
    await drawing

    # The first picture takes half a second of a whole processor.
    assert turns > 20


async def test_what_cannot_be_drawn_is_an_error_and_the_next_is_drawn(renderer):
    with pytest.raises(ChartError):
        await renderer.render({"$schema": SCHEMA, "mark": {"type": 17}})

    assert (await renderer.render(bar())).startswith("<svg")


async def test_no_address_is_read(renderer):
    with pytest.raises(ChartError):
        await renderer.render(bar() | {"data": {"url": "http://127.0.0.1:1/data.json"}})


async def test_a_process_that_dies_is_replaced(renderer):
    await renderer.render(bar())
    process = renderer._process
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()

    assert (await renderer.render(bar())).startswith("<svg")
    assert renderer._process.pid != process.pid


async def test_a_chart_that_takes_too_long_ends_the_process():
    renderer = ChartRenderer(timeout_s=0.001)
    with pytest.raises(ChartsBusyError):
        await renderer.render(bar())
    assert renderer._process is None
    await renderer.close()


async def test_whoever_gives_up_leaves_no_answer_for_the_next(renderer):
    await renderer.render(bar())
    asking = asyncio.create_task(renderer.render(bar("first")))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert "second" in await renderer.render(bar("second"))


async def test_an_idle_process_is_ended_and_another_one_started(eventually):
    renderer = ChartRenderer(idle_s=0.01)
    await renderer.render(bar())
    process = renderer._process
    await eventually(lambda: process.returncode is not None)

    assert process.returncode == 0
    assert (await renderer.render(bar())).startswith("<svg")
    await renderer.close()


async def test_too_many_are_refused_and_a_closed_one_draws_nothing(renderer):
    waiting = [asyncio.create_task(renderer.render(bar())) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(ChartsBusyError):
        await renderer.render(bar())
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    await renderer.close()
    with pytest.raises(ChartsBusyError):
        await renderer.render(bar())


def test_the_program_ends_with_its_input_and_answers_every_line():
    answers = io.BytesIO()
    chart_process.serve(io.BytesIO(b"nonsense\n\xff\n{}\n"), answers)
    assert answers.getvalue().startswith(b"-1\n-1\n")

    done = subprocess.run(
        [sys.executable, "-I", chart_process.__file__], input=b"nonsense\n", capture_output=True,
        check=True,
    )  # fmt: skip
    assert done.stdout == b"-1\n"
