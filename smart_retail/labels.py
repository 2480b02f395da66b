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
HALF_YEAR = 0.5
"""A whole year, as in a range of ages, is from half a year before to half a year after."""
OTHER_LABELS = ("age_low", "age_high", "emotion_crowd", "emotion_original")
"""Ends of an age that is a range; what most people say of an emotion, and what its data set says."""
SPLITS = ("train", "val", "test")
