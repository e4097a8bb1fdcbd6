"""Sealed keys: the secret of one opens with the right secret alone, and only beside what it was sealed with."""

import json
from dataclasses import replace

import pytest

from namespace.contents import key_item, key_of, key_shown, resealed
from namespace.keys import AccessKey
from namespace.sealing import Seal, SealBroken

KEY = AccessKey("CWID", "0123456789abcdef", "reader", "rec", read=("/ns/a",), until=9.5, regions=("gpu-7",))
SEAL = Seal(b"a secret of the namespace", "keys")


def test_a_key_is_the_same_again() -> None:
    assert key_of(key_item(KEY, SEAL), SEAL) == KEY


def test_the_secret_stands_nowhere_in_the_item() -> None:
    item = key_item(KEY, SEAL)

    assert KEY.secret not in item
    assert KEY.secret.encode().hex() not in item
    assert key_shown(item) == replace(KEY, secret="*" * 16)


@pytest.mark.parametrize("other", [Seal(b"another secret", "keys"), Seal(b"a secret of the namespace", "x")])
def test_another_secret_or_purpose_does_not_open_it(other: Seal) -> None:
    with pytest.raises(SealBroken, match="sealed with another secret"):
        key_of(key_item(KEY, SEAL), other)


def test_a_key_whose_grants_were_changed_by_another_hand_does_not_open() -> None:
    plain = json.loads(key_item(KEY, SEAL))

    with pytest.raises(SealBroken):
        key_of(json.dumps({**plain, "read": ["/ns"]}), SEAL)


@pytest.mark.parametrize("sealed", ["", "AAAA", "!", "A" * 64])
def test_what_is_no_sealed_text_does_not_open(sealed: str) -> None:
    with pytest.raises(SealBroken):
        SEAL.open(sealed, "beside")


def test_the_same_key_sealed_twice_is_the_same_item_and_another_one_differs() -> None:
    assert key_item(KEY, SEAL) == key_item(KEY, SEAL)
    assert key_item(KEY, SEAL) != key_item(replace(KEY, secret="0123456789abcdeg"), SEAL)


def test_a_key_resealed_for_a_region_opens_there() -> None:
    theirs = Seal(b"a secret of one region", "keys")

    assert key_of(resealed(key_item(KEY, SEAL), SEAL, theirs), theirs) == KEY
