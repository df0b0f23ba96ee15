"""The floor all stand on: settings, Spark session, table contracts, steps."""
