"""SQL over the lake without a JVM: delta-rs reads the tables, DataFusion answers."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Literal

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from rich.console import Console
from rich.table import Table as RichTable

from lakehouse.errors import CryptolakeError
from lakehouse.home import lake_folder
from lakehouse.printable import printable
from lakehouse.settings import Settings
from serving.catalog import TABLES, VIEWS, schemas

Format = Literal["table", "csv", "json"]
_QUERY = re.compile(r"\s*(select|with|values|describe|explain(?!\s+analyze))\b", re.IGNORECASE)
_SHOW_TABLES = re.compile(r"\s*show\s+tables\s*;?\s*$", re.IGNORECASE)


def query(settings: Settings, sql: str) -> pa.Table:
    """Answer one query over the tables and views of the lake as they are now.

    Raises:
        CryptolakeError: the statement is no query, is wrong, or names what is not there.
    """
    builder, there = _registered(settings)
    if _SHOW_TABLES.match(sql):
        return pa.table({"table": sorted(there)})
    if not _QUERY.match(sql):
        raise CryptolakeError("Only queries are answered (SELECT, WITH, VALUES, DESCRIBE, EXPLAIN, SHOW TABLES)")
    try:
        # Without the stated length the answer's text columns are views, which few readers of Arrow know.
        return pa.table(builder.execute(sql).read_all())
    except Exception as error:
        hint = f"There are: {', '.join(sorted(there))}." if there else "The lake is empty: run `cryptolake demo` first."
        raise CryptolakeError(_one_line(str(error)), hint if "not found" in str(error) else "") from None


def render(answer: pa.Table, form: Format, console: Console | None = None) -> None:
    """Print an answer as a table for people, or as CSV or JSON lines for programs."""
    console = console or Console()
    if form == "table":
        console.print(_rich_table(answer))
        console.print(f"{answer.num_rows} row{'' if answer.num_rows == 1 else 's'}", style="dim")
        return
    text = io.StringIO()
    rows = answer.to_pylist()
    if form == "csv":
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(answer.column_names)
        writer.writerows([["" if value is None else _text(value) for value in row.values()] for row in rows])
    else:
        text.writelines(json.dumps(row, default=_text, ensure_ascii=False) + "\n" for row in rows)
    console.file.write(text.getvalue())


def _registered(settings: Settings) -> tuple[QueryBuilder, set[str]]:
    builder = QueryBuilder()
    for schema in schemas():
        builder.execute(f"CREATE SCHEMA {schema}").read_all()
    there = set()
    for table in TABLES:
        folder = lake_folder(settings) / table.name.replace(".", "/")
        if (folder / "_delta_log").is_dir():
            builder.register(table.name, DeltaTable(str(folder)))
            there.add(table.name)
    for view in VIEWS:
        if view.source.name in there:
            builder.execute(f"CREATE VIEW {view.name} AS {view.datafusion_sql()}").read_all()
            there.add(view.name)
    return builder, there


def _rich_table(answer: pa.Table) -> RichTable:
    table = RichTable()
    for column in answer.schema:
        numeric = (
            pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
        )
        table.add_column(column.name, justify="right" if numeric else "left", overflow="fold")
    for row in answer.to_pylist():
        # What came as data must not be read as markup, nor be obeyed by the terminal.
        texts = (printable("" if value is None else _text(value)) for value in row.values())
        table.add_row(*(text.replace("[", r"\[") for text in texts))
    return table


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return format(value, "f") if hasattr(value, "as_tuple") else str(value)


def _one_line(message: str) -> str:
    return " ".join(message.split())[:300]
