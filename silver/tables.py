"""The tables of silver."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from lakehouse.table import Table, column

PRICE = DecimalType(24, 12)
QUANTITY = DecimalType(24, 8)
VOLUME = DecimalType(34, 8)
AMOUNT = DecimalType(38, 20)
AVERAGE = DecimalType(28, 16)
CHANGE_PCT = DecimalType(18, 8)
# A double written in full has up to 17 digits, so 0.00001 takes 21 decimals; a price above 1e10 dollars there is not.
FULL_DOUBLE = DecimalType(38, 28)


def _minute_of_symbol() -> list[StructField]:
    return [
        column("venue", StringType(), "the market"),
        column("symbol", StringType(), "canonical BASE-QUOTE"),
        column("minute", TimestampType(), "start of the minute (UTC)"),
    ]


def _prices_and_volumes() -> list[StructField]:
    return [
        column("open", PRICE, "first price"),
        column("high", PRICE, "highest price"),
        column("low", PRICE, "lowest price"),
        column("close", PRICE, "last price"),
        column("volume", VOLUME, "base units traded"),
        column("buy_volume", VOLUME, "of which bought by takers"),
    ]


def _bar_values() -> list[StructField]:
    return [
        *_prices_and_volumes(),
        column("amount", AMOUNT, "sum of price x quantity, quote units"),
        column("price_sum", AMOUNT, "sum of prices; null from candles"),
        column("average_price", AVERAGE, "price_sum / trade_count, half up; null from candles"),
        column("vwap", AVERAGE, "amount / volume, to 24 then 16 decimals, half up"),
        column("trade_count", LongType(), "number of trades"),
        column("origin", StringType(), "trades, or klines where a candle is in it"),
        column("revised_at", TimestampType(), "when a stored value was last changed; null when never"),
    ]


def _provenance() -> list[StructField]:
    return [
        column("topic_id", StringType(), "Kafka's id of the topic"),
        column("topic", StringType(), "Kafka topic"),
        column("partition", IntegerType(), "Kafka partition"),
        column("offset", LongType(), "Kafka offset"),
        column("row", IntegerType(), "place in the frame, from 0"),
    ]


def _heard() -> list[StructField]:
    return [
        column("received_at", TimestampType(), "when the collector received the frame (UTC, us)"),
        column("session_id", StringType(), "the connection or poller that brought it"),
        column("sequence", LongType(), "place of the frame in its session"),
        column("origin", StringType(), "stream, backfill or replay"),
        *_provenance(),
        column("rescued", StringType(), "JSON of fields outside the contract; null when there are none"),
    ]


TRADES = Table(
    name="silver.trades",
    comment="Every trade once, exact, with where it came from.",
    schema=StructType(
        [
            column("venue", StringType(), "the market: binance, bybit-spot, coincap-bitso, ..."),
            column("symbol", StringType(), "canonical BASE-QUOTE, e.g. BTC-USDT"),
            column("trade_key", StringType(), "the venue's id, else session:sequence:row"),
            column("base", StringType(), "base asset"),
            column("quote", StringType(), "quote asset"),
            column("venue_symbol", StringType(), "the venue's own name of the symbol"),
            column("trade_id", LongType(), "the venue's numeric id, where it has one"),
            column("venue_sequence", LongType(), "the venue's own order of trades, where it has one (Bybit seq)"),
            column("side", StringType(), "buy or sell, of the taker"),
            column("price", PRICE, "in quote units"),
            column("quantity", QUANTITY, "in base units"),
            column("event_time", TimestampType(), "the venue's trade time (UTC, us)"),
            *_heard(),
        ]
    ),
    key=("venue", "symbol", "trade_key"),
    writer="refine",
    append_only=True,
    cluster_by=("event_time", "symbol"),
    constraints={"positive": "price > 0 AND quantity > 0", "side": "side IN ('buy', 'sell')"},
)

CANDLES = Table(
    name="silver.candles",
    comment="The venue's own closed one-minute candles, once each; they stand for minutes before we listened.",
    schema=StructType(
        [
            *_minute_of_symbol(),
            column("venue_symbol", StringType(), "the venue's own name of the symbol"),
            *_prices_and_volumes(),
            column("amount", AMOUNT, "quote units traded"),
            column("trade_count", LongType(), "number of trades"),
            column("received_at", TimestampType(), "when the collector received it (UTC, us)"),
            column("origin", StringType(), "backfill or replay"),
            *_provenance(),
        ]
    ),
    key=("venue", "symbol", "minute"),
    writer="refine",
    append_only=True,
)

TICKERS = Table(
    name="silver.tickers",
    comment="The venue's own statistics of the 24 hours that end at close_time, once each.",
    schema=StructType(
        [
            column("venue", StringType(), "the market"),
            column("symbol", StringType(), "canonical BASE-QUOTE"),
            column("close_time", TimestampType(), "end of the 24 hours (UTC)"),
            column("base", StringType(), "base asset"),
            column("quote", StringType(), "quote asset"),
            column("venue_symbol", StringType(), "the venue's own name of the symbol"),
            column("last_price", PRICE, "price of the last trade, in quote units"),
            column("price_change", PRICE, "last_price - open_price, in quote units"),
            column("price_change_pct", CHANGE_PCT, "100 x price_change / open_price, in percent"),
            column("weighted_average_price", PRICE, "quote_volume / volume; 0 without a trade"),
            column("previous_close_price", PRICE, "price of the last trade before the 24 hours; 0 without one"),
            column("last_quantity", QUANTITY, "quantity of the last trade, in base units"),
            column("bid_price", PRICE, "best bid, in quote units; 0 without one"),
            column("bid_quantity", QUANTITY, "offered there, in base units"),
            column("ask_price", PRICE, "best ask, in quote units; 0 without one"),
            column("ask_quantity", QUANTITY, "offered there, in base units"),
            column("open_price", PRICE, "price of the first trade of the 24 hours"),
            column("high_price", PRICE, "highest price"),
            column("low_price", PRICE, "lowest price"),
            column("volume", VOLUME, "base units traded"),
            column("quote_volume", AMOUNT, "quote units traded"),
            column("open_time", TimestampType(), "start of the 24 hours (UTC)"),
            column("first_id", LongType(), "id of the first trade; null without a trade"),
            column("last_id", LongType(), "id of the last trade; null without a trade"),
            column("trade_count", LongType(), "number of trades"),
            *_heard(),
        ]
    ),
    key=("venue", "symbol", "close_time"),
    writer="refine",
    append_only=True,
)

PRICES = Table(
    name="silver.prices",
    comment="Prices in US dollars as price services state them, once for each time of theirs.",
    schema=StructType(
        [
            column("venue", StringType(), "the service: coingecko, coincap"),
            column("symbol", StringType(), "canonical BASE-QUOTE, e.g. BTC-USD"),
            column(
                "updated_at", TimestampType(), "the service's time of the price (UTC); coincap has none: received_at"
            ),
            column("base", StringType(), "the asset, as a ticker"),
            column("quote", StringType(), "USD"),
            column("venue_symbol", StringType(), "the service's own name of the asset"),
            column("price", FULL_DOUBLE, "in US dollars, all digits as stated"),
            column("volume_24h", AMOUNT, "traded in 24 hours, in US dollars; null where not stated"),
            column("change_24h_pct", FULL_DOUBLE, "change of the price in 24 hours, in percent; null where not stated"),
            column("market_cap", AMOUNT, "in US dollars; null where not stated"),
            *_heard(),
        ]
    ),
    key=("venue", "symbol", "updated_at"),
    writer="refine",
    append_only=True,
    constraints={"positive": "price > 0"},
)

QUARANTINE = Table(
    name="silver.quarantine",
    comment="Every row that could not be used, with its raw bytes and the reasons.",
    schema=StructType(
        [
            *_provenance()[:4],
            column("row", IntegerType(), "place in the frame; -1 for the whole frame"),
            column("venue", StringType(), "source of the frame"),
            column("channel", StringType(), "channel of the frame"),
            column("key", StringType(), "Kafka message key"),
            column("session_id", StringType(), "the connection that brought the frame"),
            column("sequence", LongType(), "place of the frame in its session"),
            column("origin", StringType(), "stream, backfill or replay"),
            column("payload", BinaryType(), "the raw bytes of the frame"),
            column("reasons", ArrayType(StringType()), "every rule that the row breaks"),
            column("rule_version", StringType(), "version of the rules that judged it"),
            column("received_at", TimestampType(), "when the collector received it (UTC, us)"),
            column("first_seen", TimestampType(), "when it was quarantined (UTC, us)"),
            column("replayed_at", TimestampType(), "when a replay came to this outcome (UTC, us)"),
            column("replay_rule_version", StringType(), "version of the rules that the replay tried"),
            column("outcome", StringType(), "silver, copy, split, empty: dealt with; rejected, conflict: still bad"),
        ]
    ),
    key=("topic_id", "partition", "offset", "row"),
    writer="refine",
)

GAPS = Table(
    name="silver.gaps",
    comment="What we know we did not hear: lost connections and missing ids.",
    schema=StructType(
        [
            column("venue", StringType(), "the market"),
            column("symbol", StringType(), "canonical symbol, or * for all of the connection"),
            column("from_id", LongType(), "first missing id, where the venue has ids"),
            column("to_id", LongType(), "last missing id"),
            column("from_time", TimestampType(), "start of the silence (UTC, us)"),
            column("to_time", TimestampType(), "end of the silence (UTC, us)"),
            column("detected_at", TimestampType(), "when it was recorded"),
            column("status", StringType(), "open, closed or unrecoverable"),
            column("closed_at", TimestampType(), "when it was closed"),
            column("reason", StringType(), "what happened"),
            *_provenance(),
        ]
    ),
    key=("venue", "symbol", "from_id", "from_time"),
    writer="refine",
)

SYMBOLS = Table(
    name="silver.symbols",
    comment="What the venues' names of their symbols stand for; the first row of exchangeInfo counts, else conf.",
    schema=StructType(
        [
            column("venue", StringType(), "the market"),
            column("venue_symbol", StringType(), "the venue's own name of the symbol"),
            column("since", TimestampType(), "when the venue said so, or conf/symbols.yml was read (UTC, us)"),
            column("base", StringType(), "base asset"),
            column("quote", StringType(), "quote asset"),
            column("symbol", StringType(), "canonical BASE-QUOTE"),
            column("source", StringType(), "exchangeInfo or conf"),
            column("received_at", TimestampType(), "when the collector received it (UTC, us); null from conf"),
            column("origin", StringType(), "stream or replay; null from conf"),
            *_provenance(),
        ]
    ),
    key=("venue", "venue_symbol", "since"),
    writer="refine",
    append_only=True,
)

ONE_MINUTE_BARS = Table(
    name="silver.one_minute_bars",
    comment="One-minute bars, exact, from trades or, before we listened, from the venue's candles.",
    schema=StructType(
        [
            *_minute_of_symbol(),
            *_bar_values(),
        ]
    ),
    key=("venue", "symbol", "minute"),
    writer="aggregate",
    cluster_by=("minute", "symbol"),
    properties={"delta.enableChangeDataFeed": "true"},
)

FIVE_MINUTE_BARS = Table(
    name="silver.five_minute_bars",
    comment="Five-minute bars, exact, from the one-minute bars of the window.",
    schema=StructType(
        [
            *_minute_of_symbol()[:2],
            column("window_start", TimestampType(), "start of the five minutes (UTC)"),
            *_bar_values(),
        ]
    ),
    key=("venue", "symbol", "window_start"),
    writer="aggregate",
    cluster_by=("window_start", "symbol"),
)

SIX_MINUTE_TRENDS = Table(
    name="silver.six_minute_trends",
    comment="The mean of the average prices of the last six minutes, and which way it goes.",
    schema=StructType(
        [
            column("venue", StringType(), "the market"),
            column("symbol", StringType(), "canonical BASE-QUOTE"),
            column("minute", TimestampType(), "last minute of the six (UTC)"),
            column("average_price", AVERAGE, "mean of the bars' average_price present in minute-5..minute, half up"),
            column("minutes_present", IntegerType(), "how many of the six have a bar with average_price"),
            column("change_pct", CHANGE_PCT, "100 x (this average_price / first present - 1), half up"),
            column("trend", StringType(), "up, down or flat: the sign of change_pct"),
            column("revised_at", TimestampType(), "when a stored value was last changed; null when never"),
        ]
    ),
    key=("venue", "symbol", "minute"),
    writer="aggregate",
    cluster_by=("minute", "symbol"),
)

QUALITY_RESULTS = Table(
    name="silver.quality_results",
    comment="What every check of the quality rules found, rule by rule.",
    schema=StructType(
        [
            column("run_id", StringType(), "names the check (ULID)"),
            column("checked_at", TimestampType(), "when it was made (UTC, us)"),
            column("table_name", StringType(), "schema and table"),
            column("rule", StringType(), "name of the rule in its table"),
            column("expectation", StringType(), "the expectation of Great Expectations that stood for it"),
            column("reason", StringType(), "what quarantine calls a breach of it"),
            column("severity", StringType(), "reject (a breach fails the check) or warn"),
            column("outcome", StringType(), "passed, warned or failed"),
            column("rows_checked", LongType(), "newest rows of the table that were looked at"),
            column("rows_unexpected", LongType(), "of which broke the rule"),
            column("examples", ArrayType(StringType()), "the first of these: key and columns, as text"),
            column("minutes", IntegerType(), "how far back from the table's newest row"),
            column("rule_version", StringType(), "version of the rules"),
        ]
    ),
    key=("run_id", "table_name", "rule"),
    writer="quality",
    properties={"delta.checkpointInterval": "100"},
    by_owner=False,
)

TABLES = (
    TRADES,
    CANDLES,
    TICKERS,
    PRICES,
    QUARANTINE,
    GAPS,
    SYMBOLS,
    ONE_MINUTE_BARS,
    FIVE_MINUTE_BARS,
    SIX_MINUTE_TRENDS,
    QUALITY_RESULTS,
)
