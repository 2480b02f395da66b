"""How a network learns and is measured."""
