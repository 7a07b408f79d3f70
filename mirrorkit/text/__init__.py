"""Strings in: reading them, cutting them into tokens, batching them."""
