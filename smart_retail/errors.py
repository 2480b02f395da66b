"""The exceptions that users see: each message names the file, the value and the way out."""


class SmartRetailError(Exception):
    """Base of everything a user can put right; the command line prints it without a traceback."""


class ConfigError(SmartRetailError):
    """A setting, or a combination of settings, that cannot work."""


class DataError(SmartRetailError):
    """A data set that is missing, empty, broken or not what it claims to be."""


class BrokenImageError(DataError):
    """One image file that cannot be read; runs skip it and count it."""


class CheckpointError(SmartRetailError):
    """A checkpoint or model file that is missing, damaged or of another shape."""


class ExportError(SmartRetailError):
    """A network that does not survive its export: it deviates, or an operator is missing."""


class GateError(SmartRetailError):
    """An INT8 network that loses more accuracy than is allowed."""


class BundleError(SmartRetailError):
    """A bundle that is incomplete, altered, or written by another version."""


class DivergedError(SmartRetailError):
    """A training whose loss or gradient is no number any more."""


def one_line(error: BaseException, most: int = 200) -> str:
    """Return what an error of somebody else's library says, fit for a message of ours."""
    return (" ".join(str(error).split()) or type(error).__name__)[:most]


def printable(text: str) -> str:
    """Return a text without what steers a terminal; names of files may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
