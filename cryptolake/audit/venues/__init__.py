"""The audit's own reading of each venue, from the venue's contract and not from silver's code: one file a venue."""
