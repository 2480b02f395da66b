"""Hostile and broken input, generated; ``FUZZ_FACTOR=100 pytest tests/fuzz`` looks longer."""
