"""The one command for a newcomer: a simulated market through the whole lake, with a live console."""
