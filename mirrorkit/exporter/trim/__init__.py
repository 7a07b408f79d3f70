"""Vocabularies cut to what a corpus uses."""
