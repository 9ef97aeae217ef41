"""The end of Pykka's actors, down to their threads."""

import threading

import pykka


def stop_all() -> None:
    """Stop all of them and wait for their threads, which would run into the next measurement."""
    before = threading.enumerate()
    pykka.ActorRegistry.stop_all()
    # Threads are named after the classes of their actors, which all begin like this here.
    for thread in before:
        if thread.name.startswith("Pykka"):
            thread.join()
