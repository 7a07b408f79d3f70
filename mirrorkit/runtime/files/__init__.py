"""A file of texts in, a file of vectors out."""
