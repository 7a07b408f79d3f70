"""Search and label sets of three domains, made offline out of what a machine has."""
