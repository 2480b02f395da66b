"""What a network answers on a face, and where in the picture that face is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smart_retail.data.crops import LANDMARKS, Square
from smart_retail.edge.detector import Detection, Landmarks

GUESS_SHARE = 0.3
"""Of the way from chance to certainty: an answer less sure than that is called a guess. For two classes that is a
probability of 0.65, for six of 0.42. Of 52 genders below it 44% were right (1,474 faces of UTKFace and FairFace), of 17
emotions 35%, as many as always saying neutral has right (1,427 faces of FER2013)."""

PLACE = ("left", "top", "right", "bottom", *LANDMARKS, *Square._fields)
"""Where a face is, in pixels of the upright picture from its upper left corner: the detector's box and landmarks, and
the centre, the side and the angle in degrees of the square that was cut out."""


@dataclass(frozen=True)
class Attribute:
    """What the network answers to one task on one face.

    Attributes:
        value: the likeliest class, or years.
        probabilities: by class; None for years.
        interval: youngest and oldest years; of validation faces the manifest's share lies inside. None for
            classes, and where the bundle tells none: too few validation faces had an age.
        blank: the crop has hardly any contrast, as a wall has; nothing can be seen in it.
    """

    value: str | float
    probabilities: dict[str, float] | None = None
    interval: tuple[float, float] | None = None
    blank: bool = False

    @property
    def probability(self) -> float | None:
        """Of the likeliest class; None for years."""
        return max(self.probabilities.values()) if self.probabilities else None

    @property
    def is_guess(self) -> bool:
        """Whether the answer is no better than a guess: a blank crop, or classes that are nearly equally likely."""
        if self.blank or not self.probabilities:
            return self.blank
        chance = 1 / len(self.probabilities)
        return max(self.probabilities.values()) < chance + GUESS_SHARE * (1 - chance)


@dataclass(frozen=True)
class Prediction:
    """What the network answers on one face.

    >>> face.gender, face.age, face.emotion
    >>> face.attributes["glasses"].value

    Attributes:
        attributes: by task.
    """

    attributes: dict[str, Attribute]

    @property
    def gender(self) -> str:
        """The likelier class."""
        return str(self._of("gender").value)

    @property
    def gender_probabilities(self) -> dict[str, float]:
        """By class."""
        return self._of("gender").probabilities or {}

    @property
    def age(self) -> float:
        """Years."""
        return float(self._of("age").value)

    @property
    def age_interval(self) -> tuple[float, float] | None:
        """Youngest and oldest years, see ``Attribute``."""
        return self._of("age").interval

    @property
    def emotion(self) -> str:
        """The likeliest class."""
        return str(self._of("emotion").value)

    @property
    def emotion_probabilities(self) -> dict[str, float]:
        """By class."""
        return self._of("emotion").probabilities or {}

    @property
    def guesses(self) -> list[str]:
        """The tasks whose answers are no better than a guess, see ``Attribute.is_guess``."""
        return [task for task, found in self.attributes.items() if found.is_guess]

    def _of(self, task: str) -> Attribute:
        if task not in self.attributes:
            raise AttributeError(f"nothing is said of {task} here, only of {', '.join(self.attributes)}")
        return self.attributes[task]

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, rounded for reading.

        Returns:
            For a task of classes ``<task>``, ``<task>_probability`` and ``<task>_probabilities`` (by class); for one of
            years ``<task>``, ``<task>_from`` and ``<task>_to``; and ``guesses``, the tasks that are no better than one.
        """
        values: dict[str, Any] = {}
        for task, found in self.attributes.items():
            if found.probabilities is not None:
                values |= {task: found.value, f"{task}_probability": round(max(found.probabilities.values()), 4)}
                continue
            ends = [round(years, 1) for years in found.interval] if found.interval else [None, None]
            values |= {task: round(float(found.value), 1), f"{task}_from": ends[0], f"{task}_to": ends[1]}
        values["guesses"] = self.guesses
        for task, found in self.attributes.items():
            if found.probabilities is not None:
                values[f"{task}_probabilities"] = {name: round(p, 4) for name, p in found.probabilities.items()}
        return values


@dataclass(frozen=True)
class Face:
    """One face of a picture, found and judged.

    Attributes:
        index: in the picture, from 0; the detector's surest first.
        detection: where the detector found it.
        square: what was cut out for the network.
        prediction: what the network answers.
    """

    index: int
    detection: Detection
    square: Square
    prediction: Prediction

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels of the picture."""
        return self.detection.box

    @property
    def score(self) -> float:
        """How sure the detector is, from 0 to 1."""
        return self.detection.score

    @property
    def landmarks(self) -> Landmarks | None:
        """Eyes and mouth in pixels, if the detector finds them."""
        return self.detection.landmarks

    def to_dict(self) -> dict[str, Any]:
        """Return plain types: ``face`` (the index), ``detector_score``, ``PLACE`` and what the prediction has."""
        numbers = [*self.box, *(v for point in self.landmarks or [(None, None)] * 3 for v in point), *self.square]
        places = {
            name: None if value is None else round(float(value), 1) for name, value in zip(PLACE, numbers, strict=True)
        }
        return {"face": self.index, "detector_score": round(self.score, 4), **places, **self.prediction.to_dict()}
