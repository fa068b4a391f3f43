"""Records of a split in any order, each row group read once and let go when it was shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workloads.errors import IntegrityError, StorageError
from workloads.records import Record
from workloads.shards.read import RowGroup


class RowReader:
    """Reads rows as they are asked for.

    What is held at a time are the rows that were read and are still to come; in an `epoch_order`
    about as many as its pool has.

    Args:
        groups: the row groups of the split, in order.
    """

    def __init__(self, groups: Sequence[RowGroup]) -> None:
        self.groups = groups
        self.starts = np.concatenate([[0], np.cumsum([group.rows for group in groups])])

    def records(self, rows: NDArray[np.int64]) -> Iterator[Record]:
        """Records of rows of the split, one by one.

        Args:
            rows: numbers of rows; one that occurs several times is given as often.

        Raises:
            IntegrityError: a shard was changed or removed since it was opened.
        """
        to_come = np.bincount(rows, minlength=int(self.starts[-1])).astype(np.int32)
        held: dict[int, Record] = {}
        for row in rows.tolist():
            if row not in held:
                held.update(self._wanted(row, to_come))
            to_come[row] -= 1
            yield held[row] if to_come[row] else held.pop(row)

    def _wanted(self, row: int, to_come: NDArray[np.int32]) -> dict[int, Record]:
        """The rows of a row's group that are still to come."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        group, start = self.groups[number], int(self.starts[number])
        records = _read(group)
        return {start + i: r for i, r in enumerate(records) if to_come[start + i]}


def _read(group: RowGroup) -> list[Record]:
    try:
        records = group.read()
    except StorageError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise IntegrityError(
            f"{group.path}: cannot be read any more ({' '.join(str(error).split())[:200]}); "
            "make it again with 'wsol ingest' and go on with --resume"
        ) from error
    if len(records) != group.rows:
        raise IntegrityError(
            f"{group.path}: row group {group.index} has {len(records)} rows, {group.rows} when the "
            "training began; shards must not change while they are used"
        )
    return records
