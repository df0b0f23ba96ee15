"""What a reader of the quarantine sees: the rows asked for, and nothing that a terminal would obey."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cryptolake.cli import execute
from lakehouse.errors import CryptolakeError
from lakehouse.printable import printable
from lakehouse.settings import Settings, load_settings
from serving.quarantine import counted, described, payload_lines, quarantined
from serving.sql import query, render
from silver.selection import Selection

sys.path.append(str(Path(__file__).resolve().parents[1] / "cryptolake"))
from lake_by_hand import HandLake, time_of

EVIL = "\x1b]0;owned\x07\x1b[2J\u202eabc"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("quarantine")
    lake = HandLake(home)
    rows = [
        lake.quarantine(lake.frame(f'{{"e":"{EVIL}"}}', key=EVIL), "missing_field:p", "missing_field:q"),
        lake.quarantine(lake.frame(b"\xff\x1b[31m" * 10, venue="coincap-bitso"), "bad_utf8"),
        lake.quarantine(lake.frame("[1]"), "not_object", row=0),
        lake.quarantine(lake.frame("{}"), "missing_field:p"),
    ]
    for hour, row in enumerate(rows):
        row["first_seen"] = time_of(1_723_161_600_000_000 + hour * 3_600_000_000)
    rows[2]["rule_version"] = "0"
    rows[3].update(outcome="silver", replayed_at=rows[3]["first_seen"], replay_rule_version="2")
    lake.write()
    return load_settings(home=home)


@pytest.mark.parametrize(
    ("selection", "offsets"),
    [
        (Selection(), [1, 0, 0]),
        (Selection(reason="missing_field"), [0]),
        (Selection(reason="missing_field:q", venue="binance"), [0]),
        (Selection(reason="missing"), []),
        (Selection(rule_version="0"), [1]),
        (Selection(since_us=1_723_165_200_000_000), [1, 0]),
        (Selection(until_us=1_723_165_200_000_000), [0]),
        (Selection(venue="' OR true --"), []),
    ],
    ids=repr,
)
def test_rows_are_selected_and_the_newest_come_first(home: Settings, selection: Selection, offsets: list[int]) -> None:
    rows = quarantined(home, selection, everything=False, limit=9).to_pylist()
    assert [row["offset"] for row in rows] == offsets
    assert rows == quarantined(home, selection, everything=False, limit=max(1, len(rows))).to_pylist()


def test_rows_are_counted_by_what_they_have(home: Settings) -> None:
    def counts(by: str, *, everything: bool = False) -> dict[str, int]:
        rows = counted(home, Selection(), by, everything=everything).to_pylist()  # type: ignore[arg-type]
        return {str(row[by]): row["rows"] for row in rows}

    assert counts("reason") == {"bad_utf8": 1, "missing_field:p": 1, "missing_field:q": 1, "not_object": 1}
    assert counts("venue", everything=True) == {"binance": 3, "coincap-bitso": 1}
    assert counts("outcome", everything=True) == {"None": 3, "silver": 1}
    assert counts("hour") == {f"2024-08-09 0{hour}:00:00": 1 for hour in range(3)}
    assert counts("day") == {"2024-08-09 00:00:00": 3}


def test_nothing_that_came_as_data_reaches_the_terminal_as_it_is(
    home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [
        ["show", "binance.trade", "0", "0"],
        ["show", "coincap-bitso.trade", "0", "0"],
        ["list", "--format", "csv"],
        ["list", "--by", "reason", "--format", "json"],
        ["list", "--all"],
    ]
    for command in commands:
        assert execute(["--home", str(home.home), "quarantine", *command]) == 0
    shown = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert '{"e":"\\x1b]0;owned\\x07\\x1b[2J\\u202eabc"}' in shown
    assert "00000000  ff 1b 5b 33 31 6d ff 1b" in shown
    screen = io.StringIO()
    answer = query(home, "SELECT payload, key FROM silver.quarantine")
    render(answer, "table", Console(file=screen, width=200))
    assert "\x1b" not in screen.getvalue()


def test_one_row_is_described_with_headers_reasons_and_bytes(home: Settings) -> None:
    text = "\n".join(described(home, "binance.trade", 0, 2, None, 100))
    for part in ("offset 2, the whole frame", "missing_field:p", "silver", "(rule version 2)", "2 bytes", "  {}"):
        assert part in text
    with pytest.raises(CryptolakeError, match=r"Nothing is quarantined from topic binance\.trade, partition 7"):
        list(described(home, "binance.trade", 7, 0, None, 100))


def test_long_payloads_are_cut_and_say_so() -> None:
    assert list(payload_lines(b"x" * 30, 10)) == ["x" * 10, "... 20 bytes more (--bytes 30)"]
    assert printable("a\tb\nc\\ é ﷽ \ud800") == "a\\tb\\nc\\ é ﷽ \\ud800"


def test_a_time_that_is_none_is_wrong_usage(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--home", str(home.home), "quarantine", "list", "--since", "yesterday"]) == 2
    assert "is no time" in capsys.readouterr().err
    assert execute(["--home", str(home.home), "quarantine", "list", "--since", "2h"]) == 0
    assert "0 rows" in capsys.readouterr().out
