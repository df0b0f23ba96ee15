"""The audit of silver.symbols, and of the names that other tables have from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from lake_by_hand import START_US, HandLake

from cryptolake.audit.run import audit
from lakehouse.settings import load_settings
from silver.tables import SYMBOLS


@pytest.fixture
def lake(tmp_path: Path) -> HandLake:
    """Names of the venue and of conf, and trades that are named by either."""
    lake = HandLake(tmp_path)
    lake.names(("BTCXYZ1", "BTC", "XYZ1"), ("ADAEUR", "AD", "AEUR"))
    lake.rows[SYMBOLS.name].append(
        {"venue": "binance", "venue_symbol": "ETHBTC", "base": "ETH", "quote": "BTC", "symbol": "ETH-BTC"}
        | {"source": "conf", "since": lake.frames[0]["received_at"]}
    )
    for number, (name, symbol) in enumerate((("BTCXYZ1", "BTC-XYZ1"), ("ADAEUR", "AD-AEUR"), ("ADAEUR", "ADA-EUR"))):
        trade = lake.trade(number, "1.5", "2", START_US, name=name)
        trade["symbol"], (trade["base"], trade["quote"]) = symbol, symbol.split("-")
    return lake


def failed(lake: HandLake) -> dict[str, str]:
    lake.aggregate()
    lake.write()
    return {r.name: " | ".join(r.examples) for r in audit(load_settings(home=lake.home)) if not r.passed}


def test_names_of_the_venue_and_of_conf_pass_also_when_one_has_changed(lake: HandLake) -> None:
    assert failed(lake) == {}


def test_a_name_that_no_table_has_given(lake: HandLake) -> None:
    lake.trades[0]["symbol"], lake.trades[0]["base"] = "BTCX-YZ1", "BTCX"
    assert "should be BTC-XYZ1" in failed(lake)["silver symbols"]


@pytest.mark.parametrize(("column", "value"), [("base", "B"), ("quote", "Z"), ("origin", "backfill")])
def test_an_altered_row(lake: HandLake, column: str, value: str) -> None:
    lake.rows[SYMBOLS.name][0][column] = value
    assert "silver.symbols fields" in failed(lake)


def test_a_lost_row_and_one_from_nowhere(lake: HandLake) -> None:
    gone = lake.rows[SYMBOLS.name].pop(1)
    found = failed(lake)
    assert "lost" in found["silver.symbols complete"]
    again = HandLake(lake.home / "again")
    again.rows = lake.rows
    again.rows[SYMBOLS.name].append(gone | {"offset": 99})
    assert {"silver.symbols sources"} <= set(failed(again))
