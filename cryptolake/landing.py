"""The landing of the stream of Kafka's records, and which of its failures starting again does not mend."""

from __future__ import annotations

from bronze.land import Land
from bronze.topics import Topics
from cryptolake.stream import checkpoint_folder
from lakehouse.errors import CryptolakeError, OffsetsLostError
from lakehouse.lake import Lake

_DATA_LOSS = ("KAFKA_DATA_LOSS", "Some data may have been lost")  # how Spark's driver and tasks say it


def landing(lake: Lake, bootstrap_servers: str) -> Land:
    """Make the step that lands what the stream of `start_stream` brings.

    Raises:
        CryptolakeError: the checkpoint, the topics and bronze do not go together.
    """
    return Land(lake, Topics(lake.settings, bootstrap_servers), checkpoint_folder(lake.settings))


def raise_if_named(failure: Exception | None, error: Exception, lake: Lake) -> None:
    """Raise what a user can act on, where the failure is such.

    Args:
        failure: what a batch has raised, if any has.
        error: what the stream says.
        lake: whose checkpoint it is.

    Raises:
        CryptolakeError: the failure itself.
        OffsetsLostError: Kafka has lost records that are wanted.
    """
    if isinstance(failure, CryptolakeError):
        raise failure
    if any(words in str(error) for words in _DATA_LOSS):
        raise OffsetsLostError(
            "Kafka no longer holds records at which the checkpoint goes on",
            f"Remove the folder {checkpoint_folder(lake.settings)} and start again: what bronze lacks is then named.",
        ) from error
