"""Measuring a network on labelled faces: predictions once, everything else from them."""
