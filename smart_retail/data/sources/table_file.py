"""Tables as people keep them: CSV in any dialect, Parquet, Excel; all cells as text."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.errors import DataError, one_line

DELIMITERS = ",;\t|"
SAMPLE = 50
"""Rows by which the delimiter is found."""
PARQUET = (".parquet", ".pq")
OTHER_FORMS = ((b"PK\x03\x04", "an Excel workbook"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"))
TO_CSV = "save it as CSV (in a spreadsheet: Save as, CSV UTF-8)"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's, so it stands before it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NO_NAME = "column {} (no name)"


def read_table(file: Path) -> pd.DataFrame:
    """Read a table; what a cell of a text file holds stays text, "001" as "NA".

    Names of columns come out in lower case, without spaces around them, and rows are numbered as a spreadsheet does:
    the header is row 1, so that the first face has 2. ``attrs["spelling"]`` has the names as the file spells them, in
    the same order, and ``attrs["notes"]`` what a person should know of how the file was read.

    Args:
        file: CSV (delimiter and encoding are found out, gzip is unpacked), Parquet, or Excel where openpyxl is there.

    Raises:
        DataError: it is missing, damaged, of another form, or has two columns of one name.
    """
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "no such file"
        raise DataError(f"{file}: {what}; set the source's `table` to a CSV or Parquet file")
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
        if file.suffix.lower() in PARQUET or start[:4] == b"PAR1":
            frame = _parquet(file)
        elif other := next((what for mark, what in OTHER_FORMS if start.startswith(mark)), None):
            frame = _workbook(file, other)
        else:
            frame = _text(file, start)
    except DataError:
        raise
    except Exception as error:  # pandas and pyarrow raise nearly anything on damaged files
        raise DataError(f"{file}: not readable as {file.suffix or 'CSV'} ({one_line(error)})") from error
    spelling = [str(name).strip() for name in frame.columns]
    frame.columns = pd.Index([name.lower() for name in spelling])
    frame.attrs["spelling"] = spelling
    if twice := sorted(set(frame.columns[frame.columns.duplicated()])):
        raise DataError(f"{file}: more than one column is called {', '.join(twice)[:200]}; keep one of each")
    return frame


def as_text(column: pd.Series) -> np.ndarray:
    """Return (N,) the cells of a column as text; "" for those without a value."""
    found = np.empty(len(column), object)
    found[:] = [value if isinstance(value, str) else _shown(value) for value in column.tolist()]
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, np.ndarray):
        return str(value.tolist())
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def _parquet(file: Path) -> pd.DataFrame:
    frame = pd.read_parquet(file)
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()  # a table may have been kept by its paths
    frame.index = pd.RangeIndex(2, 2 + len(frame))
    frame.attrs = {"notes": []}
    return frame


def _workbook(file: Path, what: str) -> pd.DataFrame:
    """Read the first sheet of a workbook.

    Raises:
        DataError: it is an old one, or openpyxl is not there, or cannot read it.
    """
    if ".xls)" in what:
        raise DataError(f"{file}: {what}; {TO_CSV}")
    try:
        import openpyxl  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError(f"{file}: {what}; {TO_CSV}, or pip install openpyxl, which reads .xlsx") from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(file.read_bytes()), read_only=True, data_only=True)
    except Exception as error:  # of zip, of XML, of its own
        raise DataError(f"{file}: {what} that openpyxl cannot read ({one_line(error)}); {TO_CSV}") from error
    rows = [["" if cell is None else _shown(cell) for cell in row] for row in book.worksheets[0].values]
    frame = _framed(rows, file)
    if others := book.sheetnames[1:]:
        frame.attrs["notes"].append(f"only the first sheet was read, not {', '.join(others)[:200]}")
    return frame


def _text(file: Path, start: bytes) -> pd.DataFrame:
    data = file.read_bytes()
    if start[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    text, encoding = _decoded(data, file)
    if "\0" in text:
        raise DataError(f"{file}: not readable as CSV (it is no text); {TO_CSV}")
    notes = [f"read as {encoding}, since it is no UTF-8"] if encoding == "cp1252" else []
    delimiter = ""
    first, _, rest = text.partition("\n")
    if first.strip().strip('"').lower().startswith("sep=") and len(first.strip().strip('"')) == 5:
        delimiter, text = first.strip().strip('"')[-1], rest  # Excel's own way to say it
    quote = "'" if text.lstrip()[:1] == "'" else '"'
    delimiter = delimiter or _delimiter(text, quote)
    frame = _framed(_records(text, delimiter, quote, file), file)
    frame.index += bool(text is rest)
    frame.attrs["notes"] += notes
    return frame


def _decoded(data: bytes, file: Path) -> tuple[str, str]:
    """Return a file's text and its encoding.

    Raises:
        DataError: it is none that spreadsheets write.
    """
    known = next((name for mark, name in MARKS if data.startswith(mark)), None)
    if known is None and len(data) > 3 and data[:200].count(0) >= len(data[:200]) // 3:
        known = "utf-16-le" if data[1] == 0 else "utf-16-be"
    for encoding in [known] if known else ["utf-8", "cp1252"]:
        try:
            return data.decode(encoding), encoding
        except UnicodeError:
            continue
    raise DataError(f"{file}: not readable as CSV (its text is neither UTF-8, UTF-16 nor Windows-1252); {TO_CSV}")


def _delimiter(text: str, quote: str) -> str:
    """Return what parts the cells: what gives the header several and most rows as many; else a comma."""

    def fits(delimiter: str) -> tuple[float, int]:
        try:
            head, *rows = islice(_reader(text, delimiter, quote), SAMPLE)
        except (ValueError, csv.Error):
            return 0.0, 0
        return (sum(len(row) == len(head) for row in rows) / max(1, len(rows)), len(head)) if len(head) > 1 else (0, 0)

    return max(DELIMITERS, key=fits)


def _reader(text: str, delimiter: str, quote: str, strict: bool = False) -> Any:
    stream = io.StringIO(text, newline="")
    return csv.reader(stream, delimiter=delimiter, quotechar=quote, skipinitialspace=delimiter != " ", strict=strict)


def _records(text: str, delimiter: str, quote: str, file: Path) -> list[list[str]]:
    """Return the rows of a text.

    Raises:
        DataError: a quotation mark is not closed: it would swallow rows.
    """
    rows = list(_reader(text, delimiter, quote))
    try:
        for _ in _reader(text, delimiter, quote, strict=True):
            pass
        torn = 0
    except csv.Error as error:  # other errors are of marks that are no end of a cell, as in "a" , "b"
        torn = len(rows) if "end of data" in str(error) else 0
    width = len(rows[0]) if rows else 0
    for number, row in enumerate(rows, 1):
        # A cell may have several lines, but those of it that could be rows are swallowed ones.
        if any("\n" in cell and any(line.count(delimiter) == width - 1 for line in cell.split("\n")) for cell in row):
            torn = torn or number
    if torn:
        raise DataError(f"{file}: the quotation mark in row {torn} is not closed, and hides what follows")
    return rows


def _framed(rows: Sequence[Sequence[str]], file: Path) -> pd.DataFrame:
    """Return rows of text as a table, without empty rows, repeated headers, and empty columns without a name.

    Raises:
        DataError: there is no header, or rows are longer than it.
    """
    at = next((number for number, row in enumerate(rows) if any(cell.strip() for cell in row)), None)
    if at is None:
        raise DataError(f"{file}: not readable as CSV (it is empty)")
    width = len(rows[at])
    numbers = [n for n in range(at + 1, len(rows)) if any(cell.strip() for cell in rows[n]) and rows[n] != rows[at]]
    long = [n + 1 for n in numbers if len(rows[n]) > width and any(cell.strip() for cell in rows[n][width:])]
    if long:
        raise DataError(
            f"{file}: {len(long)} rows have more cells than the header, the first is row {long[0]}; put a cell that "
            "holds the delimiter between quotation marks"
        )
    columns = list(zip_longest(*(rows[n] for n in numbers), fillvalue=""))
    found: dict[str, np.ndarray] = {}
    for place in range(width):
        cells = np.empty(len(numbers), object)
        cells[:] = [_cell(cell) for cell in columns[place]] if place < len(columns) else ""
        name = rows[at][place].strip()
        if name or cells.any():
            found[name or NO_NAME.format(place + 1)] = cells
    names = [name.strip() or NO_NAME.format(place + 1) for place, name in enumerate(rows[at])]
    if len(twice := [name for name in names if names.count(name) > 1]):
        raise DataError(f"{file}: more than one column is called {twice[0][:200]}; keep one of each")
    frame = pd.DataFrame(found, index=pd.Index([n + 1 for n in numbers], dtype=np.int64), dtype=object)
    frame.attrs = {"notes": []}
    return frame


def _cell(cell: str) -> str:
    cell = cell.strip()
    return cell[2:-1] if cell.startswith('="') and cell.endswith('"') else cell  # how Excel is made to keep zeros
