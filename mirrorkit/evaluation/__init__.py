"""Scores of an encoder: sentence similarity, word similarity, geometry of the vectors."""
