"""What happens around the training loop: averaging, checkpoints, files for others."""
