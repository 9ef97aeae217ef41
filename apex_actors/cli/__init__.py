"""The commands of ``apex``: how people and scripts start, ask and look after a server.

Commands import what they need when they run, so that ``apex --help`` answers at once.
"""

from apex_actors.cli.app import main

__all__ = ["main"]
