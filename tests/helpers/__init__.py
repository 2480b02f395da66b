"""What several tests share: data sets in their real on-disk formats, batches, runs."""
