"""What the demonstration reads: chosen by a seed, within its bounds, large and small."""

from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import dataset

from gateway.demo.samples import LARGE_BYTES, LARGEST_BYTES, Sample, choose, installed, write_table

SIZES = st.lists(st.integers(0, 3 * LARGE_BYTES), max_size=60)


def samples_of(sizes: list[int]) -> list[Sample]:
    return [Sample(f"files/{at:03}", Path(f"/{at}"), size) for at, size in enumerate(sizes)]


@given(SIZES, st.integers(1, 40), st.integers(0, 20 * LARGE_BYTES), st.integers(0, 5))
def test_the_choice_keeps_to_count_and_bytes_and_takes_nothing_twice(
    sizes: list[int], count: int, size: int, seed: int
):
    chosen = choose(samples_of(sizes), count, size, seed)

    assert len(chosen) <= count
    assert sum(sample.size for sample in chosen) <= size
    assert len({sample.key for sample in chosen}) == len(chosen)


@given(SIZES, st.integers(0, 5))
def test_the_same_seed_chooses_the_same(sizes: list[int], seed: int):
    samples = samples_of(sizes)

    assert choose(samples, 20, 9 * LARGE_BYTES, seed) == choose(reversed(samples), 20, 9 * LARGE_BYTES, seed)


def test_an_empty_object_is_among_them():
    chosen = choose(samples_of([5] * 50 + [0] * 3), 10, 100, seed=1)

    assert [sample.size for sample in chosen].count(0) == 1


def test_installed_files_are_objects_of_0_b_to_100_mb():
    sizes = [sample.size for sample in installed()]

    assert min(sizes) == 0
    assert LARGE_BYTES < max(sizes) <= LARGEST_BYTES


def test_the_table_is_about_as_large_as_asked_and_its_rows_come_back(tmp_path: Path):
    samples = write_table(tmp_path, 1_000_000, seed=1)

    table = dataset.dataset(tmp_path, format="parquet", partitioning="hive").to_table()
    assert 1_000_000 <= sum(sample.size for sample in samples) < 1_100_000
    assert samples[0].key == "table/day=2026-01-01/part-0.parquet"
    assert table["id"].to_pylist() == list(range(table.num_rows))
    assert table.schema.field("left").type == pa.int64()
