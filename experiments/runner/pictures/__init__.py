"""How pictures look, and those that many experiments draw."""
