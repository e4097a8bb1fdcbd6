"""Who calls: shown by the pair's secret, for one method, one direction, and five minutes."""

import pytest

from namespace.rpc.signing import SIGNATURE, BadSignature, Signer, Trust

NOW = 1_700_000_000.0
SECRETS = {"idc-bj": "secret-of-bj-and-use1", "gpu-7": "secret-of-gpu-and-use1"}


def caller(signer: Signer, path: str = "/s/M", at: float = NOW, now: float = NOW, to: str = "aws-use1") -> str:
    return Trust(to, SECRETS.get).caller(path, dict(signer.sign(path, at)), now)


def test_a_call_by_the_pairs_secret_is_that_regions() -> None:
    assert caller(Signer("idc-bj", "aws-use1", SECRETS["idc-bj"])) == "idc-bj"


@pytest.mark.parametrize(
    "signer",
    [
        Signer("idc-bj", "aws-use1", "another"),
        Signer("idc-bj", "aws-use1", SECRETS["gpu-7"]),
        Signer("idc-bj", "gpu-7", SECRETS["idc-bj"]),
        Signer("unknown", "aws-use1", SECRETS["idc-bj"]),
        Signer("unknown", "aws-use1", "-"),
    ],
    ids=["another secret", "another pair's", "for another region", "of nobody we know", "of nobody, guessed"],
)
def test_a_call_by_another_secret_is_nobodys(signer: Signer) -> None:
    with pytest.raises(BadSignature, match="both sides need the same secret"):
        caller(signer)


def test_a_signature_is_for_its_method_alone() -> None:
    metadata = dict(Signer("idc-bj", "aws-use1", SECRETS["idc-bj"]).sign("/s/Read", NOW))

    with pytest.raises(BadSignature):
        Trust("aws-use1", SECRETS.get).caller("/s/Write", metadata, NOW)


@pytest.mark.parametrize("apart", [-300.0, 300.0])
def test_clocks_may_be_five_minutes_apart(apart: float) -> None:
    assert caller(Signer("idc-bj", "aws-use1", SECRETS["idc-bj"]), now=NOW + apart) == "idc-bj"


@pytest.mark.parametrize("apart", [-172_800.0, -301.0, 301.0, 172_800.0])
def test_clocks_further_apart_are_told_as_such(apart: float) -> None:
    with pytest.raises(BadSignature, match=rf"{abs(apart):.0f} s apart.*set them"):
        caller(Signer("idc-bj", "aws-use1", SECRETS["idc-bj"]), now=NOW + apart)


@pytest.mark.parametrize("missing", ["causeway-region", "causeway-date", "causeway-signature"])
def test_an_unsigned_call_is_told_what_it_wants(missing: str) -> None:
    metadata = dict(Signer("idc-bj", "aws-use1", SECRETS["idc-bj"]).sign("/s/M", NOW))
    del metadata[missing]

    with pytest.raises(BadSignature, match=r"under `secrets` of node\.yaml"):
        Trust("aws-use1", SECRETS.get).caller("/s/M", metadata, NOW)


def test_a_secret_is_not_shown() -> None:
    signer = Signer("idc-bj", "aws-use1", SECRETS["idc-bj"])

    assert SECRETS["idc-bj"] not in repr(signer)
    assert SECRETS["idc-bj"] not in dict(signer.sign("/s/M", NOW))[SIGNATURE]
