"""How the shipped model is made."""
