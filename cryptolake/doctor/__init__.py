"""Names what is missing on a machine or in a home, and how to mend it."""
