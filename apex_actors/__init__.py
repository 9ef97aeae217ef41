"""apex_actors: an actor-model server for AI chat about AI costs.

The packages are floors; each imports only from those below it:
cli, server · gateway · agents · execution · storage · costs, protocol · actors.
"""

from importlib.metadata import version

__version__ = version("apex-actors")
