"""Errors a user can act on: what happened, where, and what to do."""


class CryptolakeError(Exception):
    """A failure with one line for the user; the command line prints it and exits with code 1.

    Args:
        what: what went wrong and where.
        remedy: what the user can do about it.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}. {remedy}".rstrip() if remedy else what)
        self.what = what
        self.remedy = remedy


class SettingsError(CryptolakeError):
    """A setting is unknown or has a value that cannot be used."""


class SetupError(CryptolakeError):
    """Something the set-up should have brought is missing."""


class LakeLockedError(CryptolakeError):
    """Another process owns the tables of this lake."""


class JvmLostError(Exception):
    """Spark's JVM has ended under its process, which must end at once: a batch at work in it has lost half its lock."""


class SchemaMismatchError(CryptolakeError):
    """A frame does not have the columns of the table it is written to."""


class OutOfRangeError(CryptolakeError):
    """A figure on the way to a result is larger than what DuckDB can hold; Spark can tell which."""


class TopicRecreatedError(CryptolakeError):
    """A Kafka topic was deleted and made anew under a name that bronze already holds."""


class OffsetsLostError(CryptolakeError):
    """Kafka no longer holds records that bronze does not hold yet."""
