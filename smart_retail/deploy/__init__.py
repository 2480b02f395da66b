"""From a checkpoint to a verified bundle, and what an edge app loads of it.

``predictor`` and all that it imports run without PyTorch; nothing here imports Lightning.
"""
