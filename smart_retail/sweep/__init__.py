"""The automated search: an Optuna study whose trials are normal runs of ``fit``."""
