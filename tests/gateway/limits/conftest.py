"""A clock that the test sets."""

from dataclasses import dataclass

import pytest


@dataclass
class Clock:
    """Says what time it is, in seconds; goes on when it is told to."""

    now_s: float = 1000.0

    def __call__(self):
        return self.now_s

    def go(self, seconds):
        self.now_s += seconds


@pytest.fixture
def clock():
    return Clock()
