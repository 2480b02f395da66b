"""The data sets, one file each. Adding one means writing one ``Source``."""
