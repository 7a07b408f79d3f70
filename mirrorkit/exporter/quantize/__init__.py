"""Graphs with 8-bit and 4-bit weights."""
