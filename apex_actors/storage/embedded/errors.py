"""The error of the embedded servers, and what the operating system's errors mean for them."""

import errno

from apex_actors.storage.errors import StorageError

_ADVICE = {
    errno.ENOSPC: "The disk is full: free some space or choose another data folder.",
    errno.EDQUOT: "The disk quota is used up: free some space or choose another data folder.",
    errno.EROFS: "The file system is read-only: choose another data folder.",
    errno.EACCES: "Let this user read and write it, or choose another data folder.",
    errno.EPERM: "Run as the user that owns it, or choose another data folder.",
    errno.ENOTDIR: "Something that is not a folder is in the way: choose another data folder.",
    errno.EMFILE: "This process has too many open files: raise its limit (ulimit -n).",
    errno.ENOTSUP: "The file system lacks what is needed: choose another data folder.",
}


class EmbeddedServerError(StorageError):
    """An embedded server cannot be started, reached or stopped.

    The message says what was wrong and what to do. It never carries a password.
    """


def explain_os_error(error: OSError, *, attempt: str) -> EmbeddedServerError:
    """Say what the operating system refused, where, and what to do about it."""
    place = f" ({error.filename})" if error.filename is not None else ""
    advice = _ADVICE.get(error.errno or 0, "")
    return EmbeddedServerError(f"{attempt}: {error.strerror or error}{place}. {advice}".rstrip())
