"""A process that uses embedded servers, driven by the tests through its standard streams.

    embedded_user.py DATA_DIR [UID]

Starts the servers (as UID, when root runs it) and prints one JSON object: the URLs, or the error.
Then it obeys lines: "stop" stops using the servers. Ctrl-C is reported and survived.
"""

import codecs
import json
import os
import signal
import sys
from pathlib import Path

from apex_actors.storage.embedded import EmbeddedServerError, EmbeddedServers


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)  # noqa: T201  (its protocol)


def main() -> None:
    # A shell that starts its jobs in the background has them ignore it, and we would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    data_dir = Path(sys.argv[1])
    if len(sys.argv) > 2:
        uid = int(sys.argv[2])
        # Loaded by sockets at first use; then Python's own folder may be closed to us.
        codecs.lookup("idna")
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    servers = EmbeddedServers(data_dir=data_dir)
    try:
        servers.start()
    except EmbeddedServerError as error:
        say(event="error", message=str(error))
        return
    say(event="ready", database_url=servers.database_url, redis_url=servers.redis_url)
    while True:
        try:
            command = sys.stdin.readline().strip()
        except KeyboardInterrupt:
            say(event="interrupted")
            continue
        if command in ("stop", ""):
            servers.stop()
            say(event="stopped")
            return


if __name__ == "__main__":
    main()
