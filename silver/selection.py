"""Which rows of the quarantine are meant: by reason, venue, time and version of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as f


@dataclass(frozen=True)
class Selection:
    """Rows of silver.quarantine; what is None selects all.

    Args:
        reason: one of the row's reasons, or the part of one before its colon (missing_field of missing_field:p).
        venue: of the frame.
        since_us: quarantined at this time or later (us UTC).
        until_us: quarantined before this time (us UTC).
        rule_version: of the rules that quarantined it.
    """

    reason: str | None = None
    venue: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    rule_version: str | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Selection:
        """Take up what `arguments` of another process has."""
        return cls(**arguments)

    @property
    def arguments(self) -> dict[str, Any]:
        """The same as JSON for a request to the owner of the lake."""
        return asdict(self)

    def condition(self) -> Column:
        """Say whether a row of silver.quarantine is selected."""
        wanted = [f.lit(True)]
        if self.reason is not None:
            reason = f.lit(self.reason)
            wanted.append(
                f.exists("reasons", lambda held: (held == reason) | (f.substring_index(held, ":", 1) == reason))
            )
        if self.venue is not None:
            wanted.append(f.col("venue") == self.venue)
        if self.since_us is not None:
            wanted.append(f.col("first_seen") >= f.timestamp_micros(f.lit(self.since_us)))
        if self.until_us is not None:
            wanted.append(f.col("first_seen") < f.timestamp_micros(f.lit(self.until_us)))
        if self.rule_version is not None:
            wanted.append(f.col("rule_version") == self.rule_version)
        return reduce(Column.__and__, wanted)
