"""Gate and comparison."""
