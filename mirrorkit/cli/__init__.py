"""The command line, one file a command; nothing is loaded until `mirrorkit.cli.app.app` is."""
