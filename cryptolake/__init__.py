"""The roof: command line, pipeline, supervisor, local broker, audit, demo."""
