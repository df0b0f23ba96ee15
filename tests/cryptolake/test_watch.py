"""`cryptolake watch` on a small lake, beside a writer, and without data."""

from __future__ import annotations

import datetime as dt
import io
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from rich.console import Console

from cryptolake.watch import watch
from lakehouse.settings import Settings

MINUTE = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
MINUTES = pa.timestamp("us", "UTC")


def add_minute(settings: Settings, minute: dt.datetime, bars: dict[tuple[str, str], tuple[str, str, str, str]]) -> None:
    """Append bars and trends of one minute: (volume, amount, average price, change in percent) by venue and symbol."""
    lake = settings.home / "lake" / "silver"
    keys = {
        "venue": pa.array([venue for venue, _ in bars]),
        "symbol": pa.array([symbol for _, symbol in bars]),
        "minute": pa.array([minute] * len(bars), MINUTES),
    }

    def decimals(place: int, precision: int, scale: int) -> pa.Array:
        return pa.array([Decimal(values[place]) for values in bars.values()], pa.decimal128(precision, scale))

    average = decimals(2, 28, 16)
    totals = {"volume": decimals(0, 34, 8), "amount": decimals(1, 38, 20)}
    write_deltalake(
        str(lake / "one_minute_bars"), pa.table({**keys, **totals, "average_price": average}), mode="append"
    )
    changes = [Decimal(values[3]) for values in bars.values()]
    trend = pa.array(["up" if change > 0 else "down" if change < 0 else "flat" for change in changes])
    write_deltalake(
        str(lake / "six_minute_trends"),
        pa.table(
            {
                **keys,
                "average_price": average,
                "change_pct": decimals(3, 18, 8),
                "minutes_present": pa.array([6] * len(bars), pa.int32()),
                "trend": trend,
            }
        ),
        mode="append",
    )


@pytest.fixture
def filled(settings: Settings) -> Settings:
    add_minute(settings, MINUTE - dt.timedelta(minutes=1), {("binance", "OLD-USDT"): ("1", "1", "1", "0")})
    add_minute(
        settings,
        MINUTE,
        {
            ("binance", "BTC-USDT"): ("12.5", "1250000.25", "100000.123456789", "0.125"),
            ("binance", "SHIB-USDT"): ("900000", "12.6", "0.0000141234567", "-1.5"),
        },
    )
    add_minute(settings, MINUTE - dt.timedelta(minutes=2), {("coincap-bitso", "ETH-USDT"): ("2", "7000", "3500", "0")})
    return settings


def printed(settings: Settings, *, terminal: bool = False, width: int = 120, **how: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    watch(settings, every_s=0.01, times=how.get("times", 1), top=how.get("top", 20), console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_show_the_last_minute_of_every_venue_to_the_last_digit(filled: Settings) -> None:
    lines = [line.split() for line in printed(filled).splitlines()]
    volume_amount_average = ["12.50000000", "1250000.25000000000000000000", "100000.1234567890000000"]
    assert ["12:00", "binance", "BTC-USDT", *volume_amount_average] in lines
    assert ["12:00", "binance", "BTC-USDT", "100000.1234567890000000", "0.12500000", "up"] in lines
    assert ["12:00", "binance", "SHIB-USDT", "0.0000141234567000", "-1.50000000", "down"] in lines
    assert ["11:58", "coincap-bitso", "ETH-USDT", "3500.0000000000000000", "0.00000000", "flat"] in lines
    assert not any("OLD-USDT" in line for line in lines), "a symbol without a trade in the last minute has no bar"


def test_terminal_shows_two_tables_that_fit_eighty_columns(filled: Settings) -> None:
    text = printed(filled, terminal=True, width=80)
    assert "Last minute (11:58..12:00)" in text
    assert "Six-minute trend (to 11:58..12:00)" in text
    assert "100,000.12" in text
    assert "0.000014123" in text
    assert "▼ down" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_only_the_greatest_are_shown_and_the_rest_is_counted(filled: Settings) -> None:
    text = printed(filled, top=1)
    assert "1 of 3 symbols; --top 0 shows all" in text
    assert "BTC-USDT" in text
    assert "SHIB-USDT" not in text
    assert "SHIB-USDT" in printed(filled, top=0)


def test_without_data_it_says_so_and_goes_on_to_the_end(settings: Settings) -> None:
    text = printed(settings, times=3)
    assert text.count("no bar yet") == 3
    assert "cryptolake demo" in text


def test_new_minutes_appear_between_two_prints_of_the_command(filled: Settings) -> None:
    command = [sys.executable, "-m", "cryptolake", "--home", str(filled.home), "watch", "--every", "2", "--times", "3"]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        add_minute(filled, MINUTE + dt.timedelta(minutes=1), {("binance", "NEW-USDT"): ("1", "2", "2", "0")})
        rest = process.stdout.read()
        assert process.wait(30) == 0
    assert time.monotonic() - began >= 4, "three prints, two seconds apart"
    turns = [line.split()[-1] for line in [first, *rest.splitlines()] if line.rstrip().endswith("/3")]
    assert turns == ["1/3", "2/3", "3/3"]
    assert "NEW-USDT" in rest
    assert Path(filled.home / "logs").exists() is False, "no error log was written"
