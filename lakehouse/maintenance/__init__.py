"""Keeps tables in folders small in files and in log: what the owner of the lake does between batches."""
