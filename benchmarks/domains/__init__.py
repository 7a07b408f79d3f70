"""Search and label sets of several domains, made offline out of what a machine has."""
