"""The network and its heads: pure PyTorch, without Lightning and without data sets."""
