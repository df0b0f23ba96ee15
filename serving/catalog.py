"""Every table and view that readers may name."""

from __future__ import annotations

from bronze import tables as bronze_tables
from bronze import views as bronze_views
from gold import bi
from gold import tables as gold_tables
from lakehouse.table import Table
from lakehouse.view import View
from silver import tables as silver_tables

TABLES: tuple[Table, ...] = (*bronze_tables.TABLES, *silver_tables.TABLES, *gold_tables.TABLES)
VIEWS: tuple[View, ...] = (*bronze_views.VIEWS, *bi.VIEWS)


def schemas() -> list[str]:
    """The schemas of all tables and views, sorted."""
    return sorted({name.split(".")[0] for name in (*(t.name for t in TABLES), *(v.name for v in VIEWS))})
