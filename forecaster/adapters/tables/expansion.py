"""How much a packed file may unpack to: a few bytes can stand for more than any memory holds.

Used by `history_files` alone. What real traffic packs to is far from these bounds: a CSV of one
value that never changes packs some twentyfold.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from forecaster.errors import HistoryError

# So many times its own length a file may unpack to, and so many bytes in any case. Columns of the
# same value take next to nothing in Parquet.
MOST_TIMES = 100
CSV_BYTES, PARQUET_BYTES = 64 << 20, 512 << 20
PIECE = 1 << 20
NUMBER_BYTES = 8


def check_gzip(path: Path) -> None:
    """Raise HistoryError unless what is packed is of a bearable length; it is not kept."""
    most, count = _most(path, CSV_BYTES), 0
    with gzip.open(path) as unpacked:
        while piece := unpacked.read(PIECE):
            count += len(piece)
            if count > most:
                raise _too_long(path, most)


def check_parquet(path: Path) -> None:
    """Raise HistoryError unless the numbers of cells and bytes that a file states are bearable."""
    most, stated = _most(path, PARQUET_BYTES), pa.parquet.read_metadata(path)
    count = 0
    for group in range(stated.num_row_groups):
        for place in range(stated.num_columns):
            column = stated.row_group(group).column(place)
            count += max(column.num_values * NUMBER_BYTES, column.total_uncompressed_size)
    if count > most:
        raise _too_long(path, most)


def table_of(path: Path) -> pa.Table:
    """Return the table of a Parquet file.

    Texts are read as numbers into a list of those that differ, and written out only if all of them
    together are bearable.

    Raises:
        HistoryError: they are not.
    """
    texts = [one.name for one in pa.parquet.read_schema(path) if _is_text(one.type)]
    table = pa.parquet.read_table(path, read_dictionary=texts)
    most = _most(path, PARQUET_BYTES)
    if sum(_text_bytes(table.column(name)) for name in texts) > most:
        raise _too_long(path, most)
    for place, one in enumerate(table.schema):
        if one.name in texts:
            plain = table.column(place).cast(pa.large_string())
            table = table.set_column(place, one.with_type(pa.large_string()), plain)
    return table


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _text_bytes(column: pa.ChunkedArray) -> int:
    count = 0
    for chunk in column.chunks:
        lengths = pa.compute.binary_length(chunk.dictionary).to_numpy(zero_copy_only=False)
        used = chunk.indices.drop_null().to_numpy(zero_copy_only=False)
        count += int(lengths[used].sum()) if len(used) else 0
    return count


def _most(path: Path, least: int) -> int:
    return max(least, MOST_TIMES * path.stat().st_size)


def _too_long(path: Path, most: int) -> HistoryError:
    times = most / path.stat().st_size
    return HistoryError(
        f"{path} unpacks to more than {most >> 20} MiB, {times:,.0f} times its own length, which "
        "no recorded traffic does; write it again, or unpack it to a .csv first"
    )
