"""A lake by hand that grows commit by commit, each five minutes of trades landed at a time of its own."""

from __future__ import annotations

from pathlib import Path

from deltalake import DeltaTable
from lake_by_hand import MINUTE_US, REFINED, START_US, TABLES, HandLake, Row, schema_of

from bronze.tables import FRAMES
from lakehouse.table import Table
from silver.tables import CANDLES, FIVE_MINUTE_BARS, ONE_MINUTE_BARS, SIX_MINUTE_TRENDS, TRADES

BLOCK_US = 5 * MINUTE_US
PER_BLOCK = 60  # trades of Binance in five minutes; a third as many of CoinCap


def landed_us(block: int) -> int:
    """When the frames of a block were received and landed: ten seconds after its end."""
    return START_US + (block + 1) * BLOCK_US + 10_000_000


class GrowingLake(HandLake):
    """Blocks of trades; `grow` adds one to the rows, `commit` writes what has been added since the last commit."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.blocks = 0
        self.withheld: list[Row] = []  # rows that no commit writes
        self._written: dict[str, int] = dict.fromkeys(TABLES, 0)

    def grow(self, *, but: int | None = None) -> None:
        """Add a block.

        Args:
            but: the number of a trade in the block that is heard of nowhere.
        """
        block, self.blocks = self.blocks, self.blocks + 1
        start, received = START_US + block * BLOCK_US, landed_us(block)
        for number in range(PER_BLOCK):
            us, trade_id = start + number * 5_000_000, 1000 + block * PER_BLOCK + number
            if number != but:
                price = f"{60_000 + (trade_id * 7919) % 1000}.5"
                self.trade(trade_id, price, "0.25", us, partition=number % 3, sequence=trade_id, received_us=received)
            if number % 3 == 0:
                self.coincap("1.25", "3", us, session_id="C1", sequence=trade_id, received_us=received)
        self.quarantine(self.frame(f"garbage {block}", received_us=received), "invalid_json")
        self.aggregate()

    def commit(self) -> None:
        """Write the new rows of every table, as the steps do; rows that were written must not have changed."""
        for table in TABLES.values():
            DeltaTable.create(
                str(self.path(table)),
                schema=schema_of(table),
                mode="ignore",
                configuration=dict(table.properties) or None,
            )
        self._append_new(FRAMES, (f"{FRAMES.name}/land/a-checkpoint", self.blocks))
        for table in REFINED:
            self._append_new(table, self.refine_mark(table, self.version(FRAMES)))
        self._append_new(ONE_MINUTE_BARS)
        self._append_new(FIVE_MINUTE_BARS, self.windows_mark(self.version(ONE_MINUTE_BARS)))
        marks = [self.aggregate_mark(table, self.version(table)) for table in (TRADES, CANDLES)]
        self._append_new(SIX_MINUTE_TRENDS, *marks)

    def files(self, table: Table) -> set[Path]:
        return {Path(file) for file in DeltaTable(str(self.path(table))).file_uris()}

    def _append_new(self, table: Table, *marks: tuple[str, int]) -> None:
        rows = self.rows[table.name]
        by_time = {"minute", "window_start"} & set(table.columns)
        if by_time:  # aggregate makes them anew, in the order of their keys
            rows.sort(key=lambda row: row[next(iter(by_time))])
        new = rows[self._written[table.name] :]
        self.append(table, [row for row in new if not any(row is other for other in self.withheld)], *marks)
        self._written[table.name] = len(rows)

    def version(self, table: Table) -> int:
        return DeltaTable(str(self.path(table))).version()
