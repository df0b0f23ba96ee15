"""Set-up and upkeep of the project; standard library only, because nothing is installed yet when it runs."""
