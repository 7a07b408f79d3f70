"""Bundles in the libraries of others: one thin module for each, which imports that library and no other."""
