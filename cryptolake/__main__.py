"""`python -m cryptolake` is `cryptolake`."""

from cryptolake.cli import main

main()
