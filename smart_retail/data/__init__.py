"""From files on disk to masked batches: sources, duplicates, splits, augmentation, loading."""
