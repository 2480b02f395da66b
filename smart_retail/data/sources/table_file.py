"""Tables as people keep them: CSV in any dialect, Parquet, Excel; all cells as text."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.errors import DataError, one_line
from smart_retail.files import near_files

DELIMITERS = ",;\t|"
SAMPLE = 50
"""Rows by which the delimiter is found."""
PARQUET = (".parquet", ".pq")
TO_CSV = "save it as CSV (in a spreadsheet: Save as, CSV UTF-8)"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's, so it stands before it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_table(file: Path) -> pd.DataFrame:
    """Read a table; what a cell of a text file holds stays text, "001" as "NA".

    Names of columns come out in lower case, without spaces around them, and rows are numbered as a spreadsheet does:
    the header is row 1, so that the first face has 2. ``attrs["spelling"]`` has the names as the file spells them, in
    the same order, and ``attrs["notes"]`` what a person should know of how the file was read.

    Args:
        file: CSV (delimiter and encoding are found out, gzip is unpacked), Parquet, or Excel where openpyxl is there.

    Raises:
        DataError: it is missing, damaged, without rows, of another form, or has two columns of one name.
    """
    if not file.is_file():
        where = "" if file.is_absolute() else f" in {Path.cwd()}"
        near = "".join(f"; near it: {name}" for name in near_files(file)[:1])
        what = "is a folder" if file.is_dir() else f"no such file{where}{near}"
        way_out = "(for a network's own data: evaluate --config FILE, export --data FILE)"
        raise DataError(f"{file}: {what}; set the source's `table` to a CSV or Parquet file {way_out}")
    notes: list[str] = []
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
        if file.suffix.lower() in PARQUET or start[:4] == b"PAR1":
            frame = _parquet(file)
        elif start.startswith(b"\xd0\xcf\x11\xe0"):
            raise DataError(f"{file}: an old Excel workbook (.xls); {TO_CSV}")
        elif start.startswith(b"PK\x03\x04"):
            frame = _workbook(file, notes)
        else:
            frame = _text(file, notes)
    except DataError:
        raise
    except Exception as error:  # pandas and pyarrow raise nearly anything on damaged files
        raise DataError(f"{file}: not readable as {file.suffix or 'CSV'} ({one_line(error)})") from error
    spelling = [str(name).strip() for name in frame.columns]
    frame.columns = pd.Index([name.lower() for name in spelling])
    frame.attrs = {"spelling": spelling, "notes": notes}
    if twice := sorted(set(frame.columns[frame.columns.duplicated()])):
        raise DataError(f"{file}: more than one column is called {', '.join(twice)[:200]}; keep one of each")
    if frame.empty:
        raise DataError(f"{file}: there is no row below the header ({', '.join(spelling)[:80]})")
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
    if not pd.api.types.is_integer_dtype(frame.index) or any(name is not None for name in frame.index.names):
        frame = frame.reset_index()  # a table may have been kept by its paths
    frame.index = pd.RangeIndex(2, 2 + len(frame))
    return frame


def _workbook(file: Path, notes: list[str]) -> pd.DataFrame:
    """Read the first sheet of a workbook.

    Raises:
        DataError: it is none, or openpyxl is not there, or cannot read it.
    """
    if zipfile.is_zipfile(file) and "[Content_Types].xml" not in (inside := zipfile.ZipFile(file).namelist()):
        raise DataError(f"{file}: a zip file with {', '.join(inside)[:200]}; unpack it")
    try:
        import openpyxl  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError(f"{file}: an Excel workbook; {TO_CSV}, or pip install openpyxl, which reads .xlsx") from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(file.read_bytes()), read_only=True, data_only=True)
    except Exception as error:  # of zip, of XML, of its own
        what = "an Excel workbook that openpyxl cannot read"
        raise DataError(f"{file}: {what} ({one_line(error)}); {TO_CSV}") from error
    if others := book.sheetnames[1:]:
        notes.append(f"only the first sheet was read, not {', '.join(others)[:200]}")
    return _framed([["" if cell is None else _shown(cell) for cell in row] for row in book.worksheets[0].values], file)


def _text(file: Path, notes: list[str]) -> pd.DataFrame:
    data = file.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    text, encoding = _decoded(data, file)
    if "\0" in text:
        raise DataError(f"{file}: not readable as CSV (it is no text); {TO_CSV}")
    if text.lstrip()[:2] in ("[{", '{"'):
        how = "pd.read_json(file).to_csv('faces.csv'), with lines=True where each line is a row"
        raise DataError(f"{file}: this is JSON; make it a CSV, as pandas does: {how}")
    if encoding == "cp1252":
        notes.append("read as cp1252, since it is no UTF-8")
    first, _, rest = text.partition("\n")
    first = first.strip().strip('"').lower()
    delimiter = first[-1] if first.startswith("sep=") and len(first) == 5 else ""  # Excel's own way to say it
    text = rest if delimiter else text
    quote = "'" if text.lstrip()[:1] == "'" else '"'
    frame = _framed(_records(text, delimiter or _delimiter(text, quote), quote, file), file)
    frame.index += bool(delimiter)
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
    rows: list[list[str]] = []
    torn = 0
    try:
        rows.extend(_reader(text, delimiter, quote))
        for _ in _reader(text, delimiter, quote, strict=True) if quote in text else ():
            pass
    except csv.Error as error:  # others than these are of marks that are no end of a cell, as in "a" , "b"
        if "limit" in str(error) and quote not in text:
            raise DataError(
                f"{file}: row {len(rows) + 1} has a cell of more than {csv.field_size_limit():,} letters"
            ) from error
        torn = len(rows) + 1 if "limit" in str(error) else len(rows) if "end of data" in str(error) else 0
    for number, row in enumerate(rows if quote in text else (), 1):
        # A cell may have several lines, but those of it that could be rows are swallowed ones.
        lines = [line for cell in row if "\n" in cell for line in cell.split("\n")]
        if any(line.count(delimiter) == len(rows[0]) - 1 for line in lines):
            torn = number
            break
    if torn:
        raise DataError(f"{file}: the quotation mark in row {torn} is not closed, and hides what follows")
    return rows


def _framed(rows: Sequence[Sequence[str]], file: Path) -> pd.DataFrame:
    """Return rows of text as a table, without empty rows, repeated headers, and empty columns without a name.

    Raises:
        DataError: there is no header, or rows are longer than it.
    """
    filled = [number for number, row in enumerate(rows) if any(map(str.strip, row))]
    if not filled:
        raise DataError(f"{file}: not readable as CSV (it is empty)")
    head, width = rows[filled[0]], len(rows[filled[0]])
    numbers = [n for n in filled[1:] if rows[n] != head]
    if long := [n + 1 for n in numbers if any(map(str.strip, rows[n][width:]))]:
        raise DataError(
            f"{file}: {len(long)} rows have more cells than the header, the first is row {long[0]}; put a cell that "
            f"holds the delimiter between quotation marks, and the columns' names first (now {', '.join(head)[:80]})"
        )
    cells = [[*map(_cell, rows[n][:width]), *[""] * (width - len(rows[n]))] for n in numbers]
    frame = pd.DataFrame(cells or np.empty((0, width), object), pd.Index(numbers) + 1, dtype=object)
    named = np.array([name.strip() != "" for name in head])
    frame.columns = pd.Index([name.strip() or f"column {place} (no name)" for place, name in enumerate(head, 1)])
    kept: pd.DataFrame = frame.loc[:, named | (frame != "").any().to_numpy()]
    return kept


def _cell(cell: str) -> str:
    cell = cell.strip()
    return cell[2:-1] if cell.startswith('="') and cell.endswith('"') else cell  # how Excel is made to keep zeros
