"""Words that data sets use for classes, splits and missing values, and what they mean here."""

from __future__ import annotations

from collections.abc import Sequence

SYNONYMS = {
    name: tuple(words.split())
    for name, words in {
        "male": "m man men males boy boys masculine",
        "female": "f w woman women females girl girls feminine",
        "angry": "anger",
        "fear": "fearful scared afraid",
        "happy": "happiness joy joyful",
        "neutral": "neutrality",
        "sad": "sadness",
        "surprise": "surprised suprise",
        "yes": "true y",
        "no": "false n",
    }.items()
}
MEANING = {other: name for name, others in SYNONYMS.items() for other in others}
"""What classes are called elsewhere, in lower case, and what they are here."""
NONE_OF_OURS = {
    "gender": ("neither", "other", "others", "nonbinary", "non-binary", "non binary", "diverse", "x"),
    "emotion": (
        *("disgust", "disgusted", "contempt", "contemptuous", "other", "others", "uncertain"),
        *("nf", "no-face", "non-face", "noface", "nonface"),
    ),
}
"""Words that people use for what is no class of a task: such a label is left out and counted."""
EMPTY = {
    *("", "?", "??", "-", "--", ".", "-1", "n/a", "na", "n.a.", "nan", "<na>", "#n/a", "null", "nil", "none", "unk"),
    *("u", "unknown", "missing", "undefined", "unspecified", "unlabeled", "unlabelled", "not available"),
}
"""Words for a value that is not there."""
PARTS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "devel", "development", "publictest"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "privatetest"), "test"),
}
"""What the parts of a data set are called, and the split that each is; two are FER2013's."""


class NoClassOfOursError(ValueError):
    """A word for something that is no class of the task."""


def plain(text: str) -> str:
    """Return a cell in lower case, with single spaces, and a whole number without its decimals."""
    text = " ".join(text.lower().split())
    return text.removesuffix(".0")


def is_empty(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return plain(text) in EMPTY


def is_number(text: str) -> bool:
    """Whether a cell is a whole number, as of a class."""
    text = plain(text)
    return text.isascii() and text.isdecimal()


def class_of(text: str, task: str, classes: Sequence[str]) -> str | None:
    """Return the class that a cell means by its name, another word or its number, None for a missing value.

    Args:
        text: the cell.
        task: name of the task, or of the column.
        classes: their names.

    Raises:
        NoClassOfOursError: it is a common word for something else.
        ValueError: it is nothing known.
    """
    word = plain(text)
    word = word if word in classes else MEANING.get(word, word)
    if word in classes:
        return word
    if word in EMPTY:
        return None
    if is_number(word) and len(word) < 6 and int(word) < len(classes):
        return classes[int(word)]
    if word in NONE_OF_OURS.get(task.partition("_")[0], ()):
        raise NoClassOfOursError(word)
    raise ValueError(f"is none of {', '.join(classes)}")
