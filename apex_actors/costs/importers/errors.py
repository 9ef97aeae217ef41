"""What can be wrong with a whole file; a single bad row is a `RejectedRow` and no error.

ValueError
└── UsageFileError
    ├── UnknownFormatError
    ├── UnreadableFileError
    ├── FileTooLargeError
    └── MissingOptionError
"""


class UsageFileError(ValueError):
    """The file can't be imported."""


class UnknownFormatError(UsageFileError):
    """No known format was recognised in the file's beginning."""


class UnreadableFileError(UsageFileError):
    """The file breaks off or is damaged."""


class FileTooLargeError(UsageFileError):
    """More comes out of the file than may be read."""


class MissingOptionError(UsageFileError):
    """The format doesn't say something that every record needs, and no option says it either."""
