"""The race against other libraries."""
