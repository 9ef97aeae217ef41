"""A process that serves is tuned while it does, and left as it was."""

import gc
import sys

import pytest

from apex_actors.server.tuning import GC_THRESHOLDS, SWITCH_INTERVAL_S, responsive


@pytest.fixture(autouse=True)
def other_settings():
    interval_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(0.004)
    gc.set_threshold(701, 11, 12)
    yield
    sys.setswitchinterval(interval_s)
    gc.set_threshold(*thresholds)


def state():
    return round(sys.getswitchinterval(), 6), gc.get_threshold(), gc.get_freeze_count()


def test_what_is_loaded_is_left_out_of_collections_while_the_node_runs():
    before = state()
    with responsive():
        assert state()[:2] == (SWITCH_INTERVAL_S, GC_THRESHOLDS)
        assert gc.get_freeze_count() > 10_000
    assert state() == before


def test_all_is_as_before_when_the_node_fails():
    before = state()
    with pytest.raises(RuntimeError), responsive():
        raise RuntimeError
    assert state() == before


def test_what_is_made_meanwhile_is_still_collected():
    class Knot:
        def __init__(self):
            self.itself = self

    with responsive():
        Knot()
        assert any(isinstance(each, Knot) for each in gc.get_objects())
        gc.collect()
        assert not any(isinstance(each, Knot) for each in gc.get_objects())
