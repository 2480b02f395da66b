"""From a float network to an INT8 one, with or without training. No Lightning."""
