"""Measurements; run from a checkout, not shipped."""
