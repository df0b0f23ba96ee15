"""SQL and BI doors to the lake."""
