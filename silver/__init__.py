"""What it means: exact trades, bars and trends, and the rows that could not be."""
