"""What the venues have said: trades, candles, tickers, prices, and what their names stand for."""

from __future__ import annotations

from pyspark.sql.types import LongType, StringType, StructType, TimestampType

from lakehouse.table import Table, column
from silver.contracts.columns import (
    AMOUNT,
    CHANGE_PCT,
    FULL_DOUBLE,
    PRICE,
    QUANTITY,
    VOLUME,
    heard,
    minute_of_symbol,
    prices_and_volumes,
    provenance,
)

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
            *heard(),
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
            *minute_of_symbol(),
            column("venue_symbol", StringType(), "the venue's own name of the symbol"),
            *prices_and_volumes(),
            column("amount", AMOUNT, "quote units traded"),
            column("trade_count", LongType(), "number of trades"),
            column("received_at", TimestampType(), "when the collector received it (UTC, us)"),
            column("origin", StringType(), "backfill or replay"),
            *provenance(),
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
            *heard(),
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
            *heard(),
        ]
    ),
    key=("venue", "symbol", "updated_at"),
    writer="refine",
    append_only=True,
    constraints={"positive": "price > 0"},
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
            *provenance(),
        ]
    ),
    key=("venue", "venue_symbol", "since"),
    writer="refine",
    append_only=True,
)
