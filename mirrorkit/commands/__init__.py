"""The commands, one function each, with heavy imports inside; `mirrorkit.cli` puts them together."""
