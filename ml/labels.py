"""What came of a prediction: where the price stood when the horizon was over."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as f

from ml.features import MINUTE_S

UP, FLAT, DOWN = "up", "flat", "down"


def with_labels(bars: DataFrame, horizon_s: int) -> DataFrame:
    """Return each bar with the move of its symbol over the next horizon, where that horizon is over.

    The price at the target is the close of the symbol's last bar in the horizon, i.e. in the minutes after the bar's
    own up to `horizon_s` later; a symbol that did not trade in them has no label, nor has each symbol's last horizon.

    Args:
        bars: venue, symbol, minute, close; a key at most once.
        horizon_s: a whole number of minutes, in seconds.

    Returns:
        venue, symbol, minute, actual_price, move (up, flat or down, by the exact decimals) and label (1.0 up, 0.0 down,
        null for flat: a tie is a class of its own, and none that a binary model can be trained on or scored by).
    """
    minutes = (f.unix_seconds("minute") / MINUTE_S).cast("long")
    rows = bars.select("venue", "symbol", "minute", "close", minutes.alias("minute_number"))
    of_symbol = Window.partitionBy("venue", "symbol")
    ahead = of_symbol.orderBy("minute_number").rangeBetween(1, horizon_s // MINUTE_S)
    over = f.col("minute_number") + horizon_s // MINUTE_S <= f.max("minute_number").over(of_symbol)
    rows = rows.withColumns({"actual_price": f.last("close").over(ahead), "over": over})
    rows = rows.where(f.col("over") & f.col("actual_price").isNotNull())
    move = direction_of(f.col("actual_price") - f.col("close"))
    label = f.when(move == UP, 1.0).when(move == DOWN, 0.0)
    return rows.select("venue", "symbol", "minute", "actual_price", move.alias("move"), label.alias("label"))


def direction_of(change: Column) -> Column:
    """The sign of a change in words: up, flat or down."""
    return f.when(change > 0, UP).when(change < 0, DOWN).otherwise(FLAT)
