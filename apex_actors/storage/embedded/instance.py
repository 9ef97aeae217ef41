"""Who is who: a name for the server of one data folder on this machine."""

import hashlib
import secrets
from pathlib import Path

from apex_actors.storage.embedded.private_files import read_private, write_private

_TAG_CHARACTERS = 16


def instance_tag(path: Path) -> str:
    """A name that the server of this data folder carries in its process title.

    Whoever carries it belongs to this folder, which no process number can prove. It is made of
    a random text stored in ``path`` and of that file's inode: a copy of the data folder has
    another name than the original, so that the two never signal each other's servers.
    Raises OSError.
    """
    seed = read_private(path)
    if seed is None:
        seed = secrets.token_hex()
        write_private(path, seed)
    status = path.stat()
    identity = f"{seed}:{status.st_dev}:{status.st_ino}"
    return f"apex-{hashlib.sha256(identity.encode()).hexdigest()[:_TAG_CHARACTERS]}"
