"""A market that speaks the venues' own protocols on loopback, with faults on demand and a ledger.

**Past.** Until a Binance symbol goes live, which its first subscription makes it, its trades follow from (seed,
symbol, time) alone and can be asked for by REST as far back as the epoch. They are not in the ledger. A live symbol
goes on from there without a hole in its ids, connected or not, also after a restart of the simulator; while that was
down no trade happened (a halt: a hole in time, none in ids). Bybit symbols and CoinCap exchanges have no past; they go
live on their first subscription and connection.

**Ledger.** One JSON line per live trade, flushed before the trade is sent or can be asked for: `venue`, `symbol`
(`BTCUSDT`; on CoinCap `bitcoin/tether`), `id` (text on Bybit, which has `seq` beside it; null on CoinCap; both have
`n`, a running number per venue), `price` and `quantity` as written on the wire, `side` of the taker, `event_time_us`
(whole milliseconds; whole seconds on coincap-gemini), `fault`. Ids of a symbol are contiguous in it, from its first
live trade on. A reader of the stream and of `historicalTrades` can have all of them from the first one on that it
received of a symbol; of what went before, a connection that broke before its first trade tells nothing.

**`fault`** is what was done to that trade on purpose, for all clients alike: `dropped` (never sent; in REST),
`duplicated` (sent twice), `reordered` (sent after the next of its symbol or exchange, or up to a second late),
`stalled` (happened while every connection that listens to it was silent; never sent; in REST), else null. On Bybit it
is done to a frame, all of whose trades say so. A trade without a fault reaches everyone connected, and nobody if
nobody is. `dropped` does not happen on Bybit and CoinCap, `duplicated` not on CoinCap, where they could not be told.
Malformed frames are extra ones and are not in the ledger.
"""
