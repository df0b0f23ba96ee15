"""A split in time, with the horizon purged in between."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as f


@dataclass(frozen=True)
class TimeSplit:
    """One instant for all symbols: what is known before it trains, what is asked from then on tests.

    A training row's label must be known by the cutoff, so the last horizon before it is left out (purged): its labels
    would look into the test slice.

    Args:
        cutoff_s: the instant, seconds since 1970 (UTC).
        horizon_s: how far ahead labels look.
    """

    cutoff_s: int
    horizon_s: int

    def slice_name(self, feature_time_s: Column) -> Column:
        """Say train, test, or null for a purged row, by the instant at which its prediction would have been asked."""
        train = feature_time_s + self.horizon_s <= self.cutoff_s
        return f.when(train, "train").when(feature_time_s >= self.cutoff_s, "test")
