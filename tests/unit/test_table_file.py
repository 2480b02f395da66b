"""CSV in any dialect, Parquet, workbooks: the same faces come out."""

import gzip
import sys
import zipfile

import pandas as pd
import pytest

from smart_retail.data.sources.table import FaceTable
from smart_retail.data.sources.table_file import as_text, read_table
from smart_retail.errors import DataError
from tests.helpers.pictures import write_face

ROWS = [["path", "gender", "age"], ["Jürgen (1).jpg", "male", "20-29"], ["b.jpg", "female", "31"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for number, (name, *_) in enumerate(ROWS[1:]):
        write_face(folder / name, number)
    return folder


def lines(delimiter, rows=ROWS):
    return "".join(delimiter.join(row) + "\r\n" for row in rows)


def read(folder, content, name="faces.csv"):
    (folder / name).write_bytes(content)
    return FaceTable(str(folder / name)).load()


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (lines(","), "utf-8"),
        (lines(";"), "utf-8-sig"),
        (lines("\t"), "utf-8"),
        (lines("|"), "utf-8"),
        (lines("\t"), "utf-16"),
        (lines(","), "utf-16-le"),
        (lines(","), "utf-16-be"),
        (lines(";"), "cp1252"),
        ("sep=;\n" + lines(";"), "utf-8"),
        (lines(",").replace("\r\n", "\r"), "utf-8"),
        (lines(",") + "\r\n,,\r\n", "utf-8"),
        (lines(",", [[*row, ""] for row in ROWS]), "utf-8"),
        (lines(" , ", [[f'"{cell}"' for cell in row] for row in ROWS]), "utf-8"),
        (lines(",", [[f"'{cell}'" for cell in row] for row in ROWS]), "utf-8"),
        (lines(";").replace("20-29", "(20, 29)"), "utf-8"),
        (lines(",").replace("20-29", '="20-29"'), "utf-8"),
    ],
)
def test_every_dialect_of_csv_gives_the_same_faces(folder, content, encoding):
    faces = read(folder, content.encode(encoding)).faces
    assert faces["key"].tolist() == ["own/Jürgen (1).jpg", "own/b.jpg"]
    assert faces["gender"].tolist() == [0, 1]
    assert faces["age_low"].tolist()[0] == 20
    assert faces["age"].tolist()[1] == 31


def test_a_gzipped_table_is_unpacked(folder):
    assert len(read(folder, gzip.compress(lines(",").encode()), "faces.csv.gz").faces) == 2


@pytest.mark.parametrize("ending", [".parquet", ".PARQUET", ".pq", ".dat"])
def test_parquet_is_known_by_its_ending_or_its_content(folder, ending):
    pd.DataFrame(ROWS[1:], columns=ROWS[0]).set_index("path").to_parquet(folder / f"faces{ending}")
    assert len(FaceTable(str(folder / f"faces{ending}")).load().faces) == 2


def test_another_encoding_than_utf_8_is_told(folder):
    assert any("cp1252" in note for note in read(folder, lines(",").encode("cp1252")).notes)


def test_cells_are_text_and_rows_are_numbered_as_in_a_spreadsheet(tmp_path):
    (tmp_path / "t.csv").write_text("path,id\n001,NA\n\n1e5,007\n")
    table = read_table(tmp_path / "t.csv")
    assert table.to_numpy().tolist() == [["001", "NA"], ["1e5", "007"]]
    assert table.index.tolist() == [2, 4]


def test_numbers_and_gaps_of_parquet_become_the_text_that_a_csv_would_have():
    cells = as_text(pd.Series([1.0, None, 2.5, "a", b"b", [1, 2], True], dtype=object))
    assert cells.tolist() == ["1", "", "2.5", "a", "b", "[1, 2]", "True"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"path,age\na,b.jpg,3\nb.jpg,4\n", "1 rows have more cells than the header, the first is row 2"),
        (b'path,age\na.jpg,3\n"b.jpg,4\nc.jpg,5\n', "quotation mark in row 3 is not closed"),
        (b'"path" ,age\na.jpg,3\n"b.jpg,4\nc.jpg,5\nd.jpg,6\n"e.jpg",7\n', "is not closed, and hides"),
        (b"path,age\na.jpg,3\0\n", "it is no text"),
        (b"path,age\n", r"there is no row below the header \(path, age\)"),
        (b"a.jpg,23\nb.jpg,25\n", "no column `path`.*the first row must name the columns"),
        (b"path age\na.jpg 23\nb.jpg 25\n", "cells that spaces part are not told apart"),
        (b"# mine\npath,age\na.jpg,3\n", r"more cells than the header.*\(now # mine\)"),
        (b"path,age\n" + b"a" * 140_000 + b",3\n", "row 2 has a cell of more than 131,072 letters"),
        (b'path,age\n"a.jpg,3\n' + b"b.jpg,4\n" * 20_000, "quotation mark in row 2 is not closed"),
        (b'{"path": "a.jpg", "age": 3}\n', "this is JSON; make it a CSV.*lines=True"),
        (b"path,age,age\na.jpg,3,4\n", "more than one column is called age"),
        (b"\xd0\xcf\x11\xe0rest", r"old Excel workbook \(\.xls\); save it as CSV"),
    ],
)
def test_a_file_that_would_be_misread_is_refused(folder, content, message):
    with pytest.raises(DataError, match=message):
        read(folder, content)


def test_a_workbook_without_openpyxl_is_refused_by_what_it_is_with_the_way_out(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DataError, match=r"faces\.xlsx: an Excel workbook; save it as CSV .* pip install openpyxl"):
        read(folder, b"PK\x03\x04rest", "faces.xlsx")


def test_a_zipped_table_is_no_workbook(folder):
    with zipfile.ZipFile(folder / "faces.zip", "w") as packed:
        packed.writestr("faces.csv", lines(","))
    with pytest.raises(DataError, match=r"a zip file with faces\.csv; unpack it"):
        FaceTable(str(folder / "faces.zip")).load()


def test_a_parquet_index_without_a_name_is_a_column_of_paths_where_the_config_says_so(folder):
    pd.DataFrame(ROWS[1:], columns=ROWS[0]).set_index("path").rename_axis(None).to_parquet(folder / "index.parquet")
    with pytest.raises(DataError, match="it has index"):
        FaceTable(str(folder / "index.parquet")).load()
    assert len(FaceTable(str(folder / "index.parquet"), columns={"index": "path"}).load().faces) == 2


def test_pictures_inside_a_parquet_file_are_refused(folder):
    inside = {"image": [{"bytes": b"x", "path": "b.jpg"}], "age": [3]}
    pd.DataFrame(inside).to_parquet(folder / "inside.parquet")
    with pytest.raises(DataError, match="column image holds pictures; write files"):
        FaceTable(str(folder / "inside.parquet")).load()


def test_a_workbook_is_read_with_openpyxl(folder):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    book.create_sheet("more").append(["x"])
    book.save(folder / "faces.xlsx")
    listing = FaceTable(str(folder / "faces.xlsx")).load()
    assert listing.faces["gender"].tolist() == [0, 1]
    assert any("not more" in note for note in listing.notes)
