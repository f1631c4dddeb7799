"""Text as a table of text: encoding, delimiter, and the lines that are no data.

Used by `table_files` alone. A library's guess of the delimiter comes first; it is taken unless
another one makes a column of stamps. No cell is changed, and line numbers stay those of the file.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from forecaster.adapters.tables.columns import is_stamp_name
from forecaster.adapters.tables.sources import TableSource, quoted

DELIMITERS = (",", ";", "\t", "|")
NAMES = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'", " ": "a blank"}
# The first fits, for the mark of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CONTROLS = re.compile(r"[\x01-\x08\x0e-\x1f]")
SEP_LINE = re.compile(r'"?sep=(.)"?[\s,;]*', re.IGNORECASE)
COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
COMMENT_MARK = re.compile(r"\s*#+[ \t]*")
# Lines that Markdown and psql draw under the header, and psql's count of the rows.
DRAWN = re.compile(r"^(?:[ \t|+:]*---[- \t|+:]*|\(\d+ rows?\)[ \t]*)$", re.MULTILINE)
# A crash leaves blocks of NUL; a line that they cut off is not known to its end.
NULS = re.compile(r"[^\n\x00]*\x00+")
HEAD_LINES, HEAD_CHARACTERS = 50, 20_000
PREAMBLE = 20  # lines that may stand above the header


def decoded(data: bytes, source: TableSource) -> str:
    """Return the text of a file.

    Raises:
        HistoryError: it is none.
    """
    wide = _wide_encoding(data)
    if wide is not None:
        source.note(f"read as {wide.upper()}")
        text = data.decode(wide)
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252")
            source.note("read in the encoding of Windows (cp1252), as it is not UTF-8")
    if CONTROLS.search(text[:HEAD_CHARACTERS]):
        raise ValueError("it is no text")
    if "\0" in text:
        source.note(f"{text.count(chr(0))} NUL bytes, as a crash leaves them, are left out")
        text = NULS.sub("", text)
    return text


def _wide_encoding(data: bytes) -> str | None:
    """Return the encoding of text with more than one byte per letter; None for others."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return encoding
    for encoding, high in (("utf-16-le", 1), ("utf-16-be", 0)):
        if len(data) > 2 and set(data[high:64:2]) == {0} and any(data[1 - high : 64 : 2]):
            return encoding
    return None


def frame_of_text(text: str, source: TableSource) -> tuple[pd.DataFrame, TableSource]:
    """Return the cells as text; the index counts lines from the first row of the source returned.

    Raises:
        HistoryError: there is no header, or a row has more cells than it.
        ValueError: it is no table.
    """
    text = DRAWN.sub("", _without_comments(text, source))
    lines = text[:HEAD_CHARACTERS].splitlines()[:HEAD_LINES]
    told = next((line for line in lines if line.strip()), "")
    if stated := SEP_LINE.fullmatch(told):
        lines[lines.index(told)] = ""
    delimiter = stated[1] if stated else _delimiter(lines)
    if stated or delimiter != ",":
        shown = NAMES.get(delimiter, repr(delimiter))
        source.note(f"the cells are separated by {shown}" + (", as it says" if stated else ""))
    at, header = _header(lines, delimiter, source)
    if any(len(_split(line, delimiter)) > len(header) for line in lines[at:]):
        source.note("a cell of nothing behind the last column is left out")
    frame = _cells(text, at, len(header) + 1, delimiter)
    frame = frame[(frame != "").any(axis=1)]
    source = replace(source, first_row=at + 1, delimiter=delimiter)
    return _under(header, frame, source), source


def _without_comments(text: str, source: TableSource) -> str:
    """Return the text without comments, but with a header that is written as one."""
    if not COMMENT.search(text):
        return text
    lines = text[:HEAD_CHARACTERS].splitlines()
    first = next((at for at, line in enumerate(lines) if not _is_left_out(line)), 0)
    header = COMMENT_MARK.sub("", lines[first - 1], count=1) if first else ""
    cells = _split(lines[first], _delimiter([header, lines[first]]))
    named = _split(header, _delimiter([header]))
    if len(named) == len(cells) > 1 and _names_stamps(named) and not _names_stamps(cells):
        text = text.replace(lines[first - 1], header, 1)
    text, count = COMMENT.subn("", text)
    source.note(f"comments (lines that begin with #) are left out: {count}")
    return text


def _names_stamps(cells: Sequence[str]) -> bool:
    return any(map(is_stamp_name, cells))


def _is_left_out(line: str) -> bool:
    return not line.strip() or bool(COMMENT.fullmatch(line))


def _delimiter(lines: Sequence[str]) -> str:
    """Return what separates the cells."""
    try:
        guess = csv.Sniffer().sniff("\n".join(lines), delimiters="".join(DELIMITERS)).delimiter
    except csv.Error:
        guess = ","
    for delimiter in (guess, *DELIMITERS, " "):
        for line in lines[:PREAMBLE]:
            cells = _split(line, delimiter)
            if len(cells) > 1 and _names_stamps(cells):
                return delimiter
    pairs = [line for line in lines if line.strip()]
    if pairs and all(guess not in line and len(line.split(" ")) == 2 for line in pairs):
        return " "
    return guess


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _header(lines: Sequence[str], delimiter: str, source: TableSource) -> tuple[int, list[str]]:
    """Return how many lines to skip, and the names of the columns."""
    rows = [_split(line, delimiter) for line in lines[:PREAMBLE]]
    filled = [at for at, row in enumerate(rows) if any(cell.strip() for cell in row)]
    if not filled:
        raise ValueError("it is empty")
    named = [at for at in filled if _names_stamps(rows[at])]
    at = named[0] if named else filled[0]
    above = [one for one in filled if one < at]
    if above:
        shown = quoted(lines[above[0]])
        source.note(f"lines above the header are left out, such as {shown}")
    header = rows[at]
    if not named and all(cell[:1].isdigit() for cell in header):
        if len(header) != 2:
            raise source.refusal("has no header; write one as first line, e.g. timestamp,qps")
        source.note("has no header; read as stamps and requests per second")
        return at, ["timestamp", "qps"]
    while len(header) > 1 and not header[-1].strip():
        header = header[:-1]
    return at + 1, [name.strip() for name in header]


def _cells(text: str, skipped: int, width: int, delimiter: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = pd.read_csv(
                io.StringIO(text),
                sep=delimiter,
                header=None,
                names=range(width),
                skiprows=skipped,
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
                index_col=False,
            )
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=range(width), dtype=str)
    return frame.fillna("")


def _under(header: Sequence[str], frame: pd.DataFrame, source: TableSource) -> pd.DataFrame:
    """Return the frame with its names, without a column of nothing and without more headers."""
    beyond = frame.iloc[:, -1] != ""
    if beyond.any():
        row = int(frame.index[int(beyond.to_numpy().argmax())]) + source.first_row
        raise source.refusal(
            f"cannot be read: row {row} has more cells than the {len(header)} of the header; "
            "name every column, and put quotes around a cell with a comma"
        )
    frame = frame.iloc[:, :-1]
    repeated = pd.Series(True, index=frame.index)
    for at, name in enumerate(header):
        repeated &= frame.iloc[:, at].str.strip() == name
    if repeated.any():
        source.note(f"headers between the rows are left out: {int(repeated.sum())}")
        frame = frame[~repeated]
    filled = [at for at, name in enumerate(header) if name or (frame.iloc[:, at] != "").any()]
    return frame.iloc[:, filled].set_axis(pd.Index([header[at] for at in filled]), axis=1)
