"""Errors of the storage floor.

StorageError
├── StorageUnavailableError   PostgreSQL is away or too busy: nothing was stored, try again
├── DatabaseRefusedError      PostgreSQL answers and lets this server not in: mend the settings
├── CacheUnavailableError     Redis or Valkey is away: go on without it
├── MigrationError            the schema is not what this version needs
├── LeaseLostError            the run belongs to another worker now: stop
└── EmbeddedServerError       an embedded server cannot be had (embedded/errors.py): do as it says
"""


class StorageError(Exception):
    """Something of the storage floor failed."""


class StorageUnavailableError(StorageError):
    """PostgreSQL is away or too busy: nothing was stored, the same call may be tried again."""


class DatabaseRefusedError(StorageError):
    """PostgreSQL answers and does not let this server in: waiting alone will not help."""


class CacheUnavailableError(StorageError):
    """Redis or Valkey is away: the caller goes on without it."""


class MigrationError(StorageError):
    """The schema of the database is not the one that this version needs."""


class LeaseLostError(StorageError):
    """The run was taken over, cancelled or finished elsewhere: whoever gets this must stop."""
