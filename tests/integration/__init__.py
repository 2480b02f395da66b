"""The command line, from files on disk to files on disk."""
