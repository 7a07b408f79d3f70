"""How a server of vectors does under load; see `python -m benchmarks.serving --help`."""
