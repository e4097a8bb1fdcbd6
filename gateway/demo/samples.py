"""What the demonstration reads: files of the installed packages, chosen by a seed, and a Parquet dataset made by it."""

import random
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST_BYTES = 100_000_000
# Files from here on bring the bytes, the many small ones below bring the count.
LARGE_BYTES = 1 << 20
ROW_BYTES = 24
PARTITIONS = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """One object and the file it is a copy of. `key` is what follows the mount."""

    key: str
    file: Path
    size: int


def installed() -> list[Sample]:
    """Returns every file of the installed packages, 0 B to 100 MB, as it could be an object."""
    root = Path(sysconfig.get_path("purelib"))
    found = (path for path in sorted(root.rglob("*")) if "__pycache__" not in path.parts)
    files = (path for path in found if path.is_file() and not path.is_symlink())
    samples = (Sample(f"files/{path.relative_to(root).as_posix()}", path, path.stat().st_size) for path in files)
    return [sample for sample in samples if sample.size <= LARGEST_BYTES]


def choose(samples: Iterable[Sample], count: int, nbytes: int, seed: int) -> list[Sample]:
    """Returns at most `count` samples of at most `nbytes` together; the same seed chooses the same.

    Large ones come first as far as they fit; then small ones, an empty one among them, fill what is left.
    """
    draw = random.Random(seed)  # noqa: S311
    shuffled = sorted(samples, key=lambda sample: sample.key)
    draw.shuffle(shuffled)
    large = [sample for sample in shuffled if sample.size >= LARGE_BYTES]
    small = [sample for sample in shuffled if sample.size < LARGE_BYTES]
    empty = [sample for sample in small if not sample.size][:1]
    rest = [sample for sample in small if sample not in empty]
    # Half of the count and a tenth of the bytes are kept for small files.
    chosen = list(_fitting(large, count // 2, nbytes * 9 // 10))
    left = nbytes - sum(sample.size for sample in chosen)
    return chosen + list(_fitting(empty + rest, count - len(chosen), left))


def write_table(directory: Path, nbytes: int, seed: int) -> list[Sample]:
    """Writes a Parquet dataset of about `nbytes`, partitioned by day, beneath `directory`; returns its files."""
    import pyarrow as pa
    from pyarrow import parquet

    draw = random.Random(seed)  # noqa: S311
    rows = max(1, nbytes // PARTITIONS // ROW_BYTES)
    samples = []
    for day in range(PARTITIONS):
        file = directory / f"day=2026-01-{day + 1:02}" / "part-0.parquet"
        file.parent.mkdir(parents=True)
        columns = {
            "id": pa.array(range(day * rows, (day + 1) * rows), pa.int64()),
            # Random, so that neither the encoding nor a compression makes the dataset smaller than it says.
            "left": pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(draw.randbytes(8 * rows))]),
            "right": pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(draw.randbytes(8 * rows))]),
        }
        parquet.write_table(pa.table(columns), file, compression="none", use_dictionary=False)
        key = f"table/{file.relative_to(directory).as_posix()}"
        samples.append(Sample(key, file, file.stat().st_size))
    return samples


def _fitting(samples: Iterable[Sample], count: int, nbytes: int) -> Iterator[Sample]:
    for sample in samples:
        if count and sample.size <= nbytes:
            yield sample
            count, nbytes = count - 1, nbytes - sample.size
