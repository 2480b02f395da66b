"""The vocabulary: tasks, class names and their order, the age range.

Every number that stands for a class, anywhere in the project, is an index into these tuples.
"""

GENDERS = ("male", "female")
EMOTIONS = ("angry", "fear", "happy", "neutral", "sad", "surprise")
TASKS = ("gender", "age", "emotion")
AGE_MIN = 0.0
"""Youngest age in years that a label or an output can have."""
AGE_MAX = 100.0
"""Oldest age in years; older labels are clipped to it and counted."""
AGE_BINS = 101
"""Classes of the age distribution: one a year, 0 to 100."""
CUMULATIVE_YEARS = 5.0
"""Error in years up to which an age counts as near: the cumulative score CS(5)."""
SPLITS = ("train", "val", "test")
