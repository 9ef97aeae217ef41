"""Advisory locks that the kernel holds for as long as a process lives."""

import fcntl
import os
from pathlib import Path

_FILE_MODE = 0o600


class FileLock:
    """A ``flock`` on a file that is created once and never deleted.

    The lock belongs to the open file description: the kernel drops it when the last copy of the
    descriptor is closed, so a process that was killed holds nothing. Python opens files
    close-on-exec, so programs started by us do not keep it by accident. Deleting the file would
    let two processes lock two different inodes of one name; hence nobody deletes it.

    Each object is one holder: two objects in one process exclude each other like two processes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def is_locked(self) -> bool:
        """True while this very object holds the lock."""
        return self._fd is not None

    def fileno(self) -> int:
        """The locked descriptor, for handing it on to a child.

        Raises ValueError when this object holds no lock.
        """
        if self._fd is None:
            raise ValueError(f"{self._path.name} is not locked by this object")
        return self._fd

    def try_shared(self) -> bool:
        """Take the lock together with others; False when somebody holds it exclusively."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Take the lock alone; False when somebody else holds it.

        On an object that holds it shared this is the question "am I the last one?". A refused
        change may lose the shared lock as well (flock(2)), so only ask it when leaving.
        """
        return self._try(fcntl.LOCK_EX)

    def release(self) -> None:
        """Let the lock go, also where a forked copy of this process still has the descriptor."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self.hand_over()

    def hand_over(self) -> None:
        """Close our descriptor and leave the lock to the child that inherited it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _try(self, operation: int) -> bool:
        fresh = self._fd is None
        fd = (
            os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _FILE_MODE)
            if self._fd is None
            else self._fd
        )
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if fresh:
                os.close(fd)
            return False
        except BaseException:
            if fresh:
                os.close(fd)
            raise
        self._fd = fd
        return True
