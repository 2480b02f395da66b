"""What a camera runs: a bundle's files, the networks in them, faces and their boxes. No PyTorch, no pandas."""
