"""The one torch module: from a folder or hub id to an encoder."""
