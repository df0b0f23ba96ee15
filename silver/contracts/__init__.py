"""The contracts of silver's tables, by what they hold; silver.tables lists them."""
