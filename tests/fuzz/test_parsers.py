"""A few thousand inputs for each parser at every run; `make fuzz` looks for others, guided by coverage."""

import random

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.parsers import TARGETS
from tests.fuzz.seeds import SEEDS

COUNT = 1500


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_right_is_taken_as_it_is(target: str) -> None:
    for seed in SEEDS[target]:
        TARGETS[target](seed)


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("target", TARGETS)
def test_whatever_comes_is_taken_or_refused_by_a_fault_that_is_declared(target: str, number: int) -> None:
    draw = random.Random(f"{target}-{number}")

    for _ in range(COUNT if target != "yaml" else COUNT // 10):
        data = mutated(draw, draw.choice(SEEDS[target]))
        try:
            TARGETS[target](data)
        except Exception as fault:
            raise AssertionError(f"seed {target}-{number}: {data!r}") from fault
