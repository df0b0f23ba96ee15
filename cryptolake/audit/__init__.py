"""The second engine: proves from the tables alone what the design promises (delta-rs and exact integers, no Spark)."""
