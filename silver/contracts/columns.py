"""The types of silver's numbers, and the columns that several of its tables share."""

from __future__ import annotations

from pyspark.sql.types import DecimalType, IntegerType, LongType, StringType, StructField, TimestampType

from lakehouse.table import column

PRICE = DecimalType(24, 12)
QUANTITY = DecimalType(24, 8)
VOLUME = DecimalType(34, 8)
AMOUNT = DecimalType(38, 20)
AVERAGE = DecimalType(28, 16)
CHANGE_PCT = DecimalType(18, 8)
# A double written in full has up to 17 digits, so 0.00001 takes 21 decimals; a price above 1e10 dollars there is not.
FULL_DOUBLE = DecimalType(38, 28)


def minute_of_symbol() -> list[StructField]:
    """The columns that name a minute of a market."""
    return [
        column("venue", StringType(), "the market"),
        column("symbol", StringType(), "canonical BASE-QUOTE"),
        column("minute", TimestampType(), "start of the minute (UTC)"),
    ]


def prices_and_volumes() -> list[StructField]:
    """The columns of prices and volumes in a stretch of time."""
    return [
        column("open", PRICE, "first price"),
        column("high", PRICE, "highest price"),
        column("low", PRICE, "lowest price"),
        column("close", PRICE, "last price"),
        column("volume", VOLUME, "base units traded"),
        column("buy_volume", VOLUME, "of which bought by takers"),
    ]


def bar_values() -> list[StructField]:
    """The columns of a bar's values."""
    return [
        *prices_and_volumes(),
        column("amount", AMOUNT, "sum of price x quantity, quote units"),
        column("price_sum", AMOUNT, "sum of prices; null from candles"),
        column("average_price", AVERAGE, "price_sum / trade_count, half up; null from candles"),
        column("vwap", AVERAGE, "amount / volume, to 24 then 16 decimals, half up"),
        column("trade_count", LongType(), "number of trades"),
        column("origin", StringType(), "trades, or klines where a candle is in it"),
        column("revised_at", TimestampType(), "when a stored value was last changed; null when never"),
    ]


def provenance() -> list[StructField]:
    """The columns that say which row of which frame a row comes from."""
    return [
        column("topic_id", StringType(), "Kafka's id of the topic"),
        column("topic", StringType(), "Kafka topic"),
        column("partition", IntegerType(), "Kafka partition"),
        column("offset", LongType(), "Kafka offset"),
        column("row", IntegerType(), "place in the frame, from 0"),
    ]


def heard() -> list[StructField]:
    """The columns that say when and by whom a row was heard, and from where it comes."""
    return [
        column("received_at", TimestampType(), "when the collector received the frame (UTC, us)"),
        column("session_id", StringType(), "the connection or poller that brought it"),
        column("sequence", LongType(), "place of the frame in its session"),
        column("origin", StringType(), "stream, backfill or replay"),
        *provenance(),
        column("rescued", StringType(), "JSON of fields outside the contract; null when there are none"),
    ]
