"""The demonstration that needs no download."""
