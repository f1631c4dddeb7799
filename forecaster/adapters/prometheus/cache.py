"""Finished chunks of a range query on disk, so that a fetch that was killed can be resumed.

Rules of this file: a chunk is written atomically, so a part of one is never read; one that cannot
be read is fetched again; a history is the same with and without a cache. pyarrow takes 40 MB of
memory, so it is imported only where a cache is used: the scaler queries without one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forecaster.adapters.atomic_write import write_atomically
from forecaster.adapters.prometheus.answers import QueryGrid, RawRange
from forecaster.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

LOGGER = logging.getLogger(__name__)
FORMAT = "2"  # before it, what VictoriaMetrics called partial was kept


class ChunkCache:
    """The chunks of one query.

    Args:
        root: the folder of all queries.
        key: everything that the answer depends on: server, tenant, query, step, offset of the grid.
        keep_for: a chunk older than this is deleted, and fetched again.
    """

    def __init__(
        self, root: Path, key: Sequence[str], *, keep_for: timedelta = timedelta(days=7)
    ) -> None:
        text = json.dumps([FORMAT, *key])
        self.folder = root / hashlib.sha256(text.encode()).hexdigest()[:24]
        self._root = root
        self._keep_for = keep_for

    def load(self, grid: QueryGrid) -> tuple[RawRange, ...] | None:
        """Return the series of a finished chunk; None if it is not there or cannot be read."""
        path = self._path(grid)
        if not path.exists():
            return None
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            rows = pq.read_table(path, schema=_schema()).to_pydict()
            return tuple(
                RawRange(json.loads(labels), np.array(values, dtype=np.float64).reshape(grid.count))
                for labels, values in zip(rows["labels"], rows["values"], strict=True)
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            LOGGER.warning("cached chunk %s cannot be read (%s); fetching it again", path, error)
            return None

    def save(self, grid: QueryGrid, series: Sequence[RawRange]) -> None:
        """Keep a finished chunk.

        Raises:
            ConfigError: the folder cannot be written.
        """
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        table = pa.table(
            {
                "labels": [json.dumps(dict(one.labels), sort_keys=True) for one in series],
                "values": [one.values for one in series],
            },
            schema=_schema(),
        )
        try:
            write_atomically(self._path(grid), lambda file: pq.write_table(table, file))
        except OSError as error:
            raise ConfigError(
                f"the cache {self.folder} cannot be written ({error.strerror or error}); "
                "name another folder with --cache-dir, or use --no-cache"
            ) from error

    def prune(self, now: datetime) -> None:
        """Delete old chunks of all queries, and old temporary files that a kill has left behind."""
        oldest = (now - self._keep_for).timestamp()
        for path in (*self._root.glob("*/*.parquet"), *self._root.glob("*/.*.tmp")):
            with suppress(OSError):  # another process may have deleted it
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _path(self, grid: QueryGrid) -> Path:
        return self.folder / f"{grid.first}-{grid.count}.parquet"


def _schema() -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415

    return pa.schema([("labels", pa.string()), ("values", pa.list_(pa.float64()))])
