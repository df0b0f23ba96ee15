"""The last minute and the six-minute trend of every symbol, printed again and again."""

from __future__ import annotations

import datetime as dt
import time

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cryptolake import formatting as as_text
from cryptolake.reader import LakeReader, Rows
from lakehouse.settings import Settings

_TURN_S = 0.5
# The newest closed minute of each venue: venues close their minutes on their own.
_LAST_MINUTE = """
SELECT b.venue, b.symbol, b.minute, b.volume, b.amount, b.average_price
FROM bars b JOIN (SELECT venue, max(minute) AS minute FROM bars WHERE average_price IS NOT NULL GROUP BY venue) last
ON b.venue = last.venue AND b.minute = last.minute
WHERE b.average_price IS NOT NULL
ORDER BY b.amount DESC, b.venue, b.symbol
"""
_LAST_TREND = """
SELECT t.venue, t.symbol, t.minute, t.average_price, t.change_pct, t.trend, t.minutes_present
FROM trends t JOIN (SELECT venue, max(minute) AS minute FROM trends GROUP BY venue) last
ON t.venue = last.venue AND t.minute = last.minute
"""


def watch(settings: Settings, *, every_s: float, times: int, top: int, console: Console | None = None) -> None:
    """Print both tables `times` times, `every_s` apart; beside a running pipeline or without one.

    Args:
        settings: the home.
        every_s: time between two prints.
        times: how many prints.
        top: symbols shown, greatest amount first; 0 shows all.
        console: where to; standard output by default.
    """
    console = console or Console()
    reader = LakeReader(settings)
    begin = time.monotonic()
    for turn in range(times):
        _sleep_until(begin + turn * every_s)
        _print(console, settings, reader, f"{turn + 1}/{times}", top)


def _sleep_until(monotonic_s: float) -> None:
    """Sleep in short turns: a signal that comes just before a sleep begins is seen only when that sleep ends."""
    while (left_s := monotonic_s - time.monotonic()) > 0:
        time.sleep(min(left_s, _TURN_S))


def _print(console: Console, settings: Settings, reader: LakeReader, turn: str, top: int) -> None:
    now = dt.datetime.now(dt.UTC)
    bars = reader.rows(_LAST_MINUTE, bars="silver.one_minute_bars")
    heading = f"{now:%Y-%m-%d %H:%M:%S} UTC  {turn}"
    if not bars:
        line = f"{heading}  no bar yet in {settings.home}: start `cryptolake demo`, and wait for a minute to close"
        console.print(line, soft_wrap=True, highlight=False)
        return
    shown = bars[:top] if top else bars
    trends = {(row["venue"], row["symbol"]): row for row in reader.rows(_LAST_TREND, trends="silver.six_minute_trends")}
    hidden = f"  ({len(shown)} of {len(bars)} symbols; --top 0 shows all)" if len(shown) < len(bars) else ""
    if console.is_terminal:
        _print_tables(console, heading + hidden, shown, trends)
    else:
        _print_lines(console, heading + hidden, shown, trends)


def _print_tables(console: Console, heading: str, bars: Rows, trends: dict[tuple[str, str], dict[str, object]]) -> None:
    console.print(Text(heading, style="bold"))
    for table in (last_minute_table(bars), trend_table(bars, trends)):
        console.print(table)


def last_minute_table(bars: Rows) -> Table:
    """The last minute: total volume, total amount and average price of each symbol."""
    table = _table(f"Last minute ({_minutes(bars)})", "volume", "amount", "average price")
    for bar in bars:
        figures = (
            as_text.quantity(bar["volume"]),
            as_text.quantity(bar["amount"]),
            as_text.price(bar["average_price"]),
        )
        table.add_row(bar["venue"], bar["symbol"], *figures)
    return table


def trend_table(bars: Rows, trends: dict[tuple[str, str], dict[str, object]]) -> Table:
    """The six minutes up to the last one: mean of the average prices, change and trend of each symbol."""
    table = _table(f"Six-minute trend (to {_minutes(bars)})", "average price", "change", "trend")
    for bar in bars:
        trend = trends.get((bar["venue"], bar["symbol"]))
        if trend is None:
            continue
        change = trend["change_pct"]
        style = as_text.colour(change)  # type: ignore[arg-type]
        table.add_row(
            bar["venue"],
            bar["symbol"],
            as_text.price(trend["average_price"]),  # type: ignore[arg-type]
            Text(as_text.percent(change, 4), style=style),  # type: ignore[arg-type]
            Text(f"{as_text.arrow(change)} {trend['trend']}", style=style),  # type: ignore[arg-type]
        )
    return table


def _print_lines(console: Console, heading: str, bars: Rows, trends: dict[tuple[str, str], dict[str, object]]) -> None:
    out = console.file
    out.write(f"{heading}\nlast minute\n")
    out.write(f"{'minute':6} {'venue':18} {'symbol':12} {'volume':>24} {'amount':>32} {'average_price':>28}\n")
    for bar in bars:
        minute = as_text.clock(bar["minute"])
        figures = f"{bar['volume']:>24f} {bar['amount']:>32f} {bar['average_price']:>28f}"
        out.write(f"{minute:6} {bar['venue']:18} {bar['symbol']:12} {figures}\n")
    out.write("six-minute trend\n")
    out.write(f"{'minute':6} {'venue':18} {'symbol':12} {'average_price':>28} {'change_pct':>14} trend\n")
    for bar in bars:
        if (trend := trends.get((bar["venue"], bar["symbol"]))) is not None:
            figures = f"{trend['average_price']:>28f} {trend['change_pct']:>14f} {trend['trend']}"
            out.write(f"{as_text.clock(bar['minute']):6} {bar['venue']:18} {bar['symbol']:12} {figures}\n")
    out.flush()


def _table(title: str, *figures: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    table.add_column("venue", no_wrap=True)
    table.add_column("symbol", no_wrap=True)
    for name in figures:
        table.add_column(name, justify="left" if name == "trend" else "right", no_wrap=True)
    return table


def _minutes(bars: Rows) -> str:
    found = sorted({as_text.clock(bar["minute"]) for bar in bars})
    return found[0] if len(found) == 1 else f"{found[0]}..{found[-1]}"
