"""Measure whether a bundle holds: quality, latency and cost per variant, judged by a gate that can say no."""
