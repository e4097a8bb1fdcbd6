"""Buckets and lists as clients see them."""

import pytest

from regioncache.errors import OriginUnavailable

pytestmark = pytest.mark.anyio


def fill(desk, *names: str) -> None:
    for name in names:
        desk.files.put(f"/ns/{name}", 1)


async def test_a_list_names_keys_below_their_bucket(desk) -> None:
    fill(desk, "train/a", "train/b/c", "open/z")

    answer = await desk.ask("/train?list-type=2")

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/xml"
    assert answer.texts("Key") == ["a", "b/c"]
    assert answer.texts("KeyCount") == ["2"]
    assert answer.texts("IsTruncated") == ["false"]


@pytest.mark.parametrize("bucket", ["ns", "causeway"])
async def test_the_whole_tree_is_a_bucket(desk, owner, bucket: str) -> None:
    fill(desk, "train/a", "open/z")

    flat = await desk.ask(f"/{bucket}?list-type=2", key=owner)
    rolled = await desk.ask(f"/{bucket}?list-type=2&delimiter=%2F", key=owner)

    assert flat.texts("Key") == ["open/z", "train/a"]
    assert rolled.texts("Prefix") == ["", "open/", "train/"]


async def test_a_list_goes_on_from_its_token_at_any_door(desk) -> None:
    fill(desk, *(f"train/{n:02d}" for n in range(7)))

    seen: list[str] = []
    token = ""
    while True:
        answer = await desk.ask(f"/train?list-type=2&max-keys=3{token}")
        seen += answer.texts("Key")
        if answer.texts("IsTruncated") == ["false"]:
            break
        token = f"&continuation-token={answer.texts('NextContinuationToken')[0]}"

    assert seen == [f"{n:02d}" for n in range(7)]
    assert desk.files.calls["list"] == 3


async def test_version_1_goes_on_from_next_marker(desk) -> None:
    fill(desk, "train/a/1", "train/a/2", "train/b", "train/c")

    first = await desk.ask("/train?delimiter=%2F&max-keys=1")
    second = await desk.ask(f"/train?delimiter=%2F&marker={first.texts('NextMarker')[0]}")

    assert first.texts("Prefix") == ["", "a/"]
    assert second.texts("Key") == ["b", "c"]


async def test_start_after_prefix_and_any_delimiter_are_kept(desk) -> None:
    fill(desk, "train/x-1", "train/x-2", "train/x-3", "train/y-1")

    after = await desk.ask("/train?list-type=2&prefix=x-&start-after=x-1")
    rolled = await desk.ask("/train?list-type=2&delimiter=-")

    assert after.texts("Key") == ["x-2", "x-3"]
    assert rolled.texts("Prefix") == ["", "x-", "y-"]


async def test_no_keys_asked_for_is_an_empty_page_and_asks_nobody(desk) -> None:
    fill(desk, "train/a")

    answer = await desk.ask("/train?list-type=2&max-keys=0")

    assert (answer.texts("Key"), answer.texts("IsTruncated"), answer.texts("MaxKeys")) == ([], ["false"], ["0"])
    assert desk.files.calls["list"] == 0


@pytest.mark.parametrize("query", ["max-keys=x", "max-keys=-1", "continuation-token=x", "encoding-type=x"])
async def test_options_that_cannot_be_read_are_400(desk, query: str) -> None:
    answer = await desk.ask(f"/train?list-type=2&{query}")

    assert (answer.status, answer.code) == (400, "InvalidArgument")


async def test_a_list_shows_only_what_the_key_may_see(desk, renter) -> None:
    fill(desk, "train/a", "train/public/b", "train/secret/c", "train/publicity")

    flat = await desk.ask("/train?list-type=2", key=renter)
    rolled = await desk.ask("/train?list-type=2&delimiter=%2F", key=renter)
    elsewhere = await desk.ask("/train?list-type=2&prefix=secret%2F", key=renter)

    assert flat.texts("Key") == ["public/b"]
    assert rolled.texts("Prefix") == ["", "public/"]
    assert (elsewhere.status, elsewhere.code) == (403, "AccessDenied")


async def test_a_list_of_no_bucket_is_404(desk, owner) -> None:
    answer = await desk.ask("/nowhere?list-type=2", key=owner)

    assert (answer.status, answer.code) == (404, "NoSuchBucket")


async def test_a_list_that_fails_below_says_so(desk) -> None:
    desk.files.faults["/ns/train/"] = OriginUnavailable("the origin is away")

    answer = await desk.ask("/train?list-type=2")

    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "ServiceUnavailable", "1")


async def test_buckets_are_those_the_key_may_see(desk, owner, renter) -> None:
    fill(desk, "train/a", "open/a", "secret/a", "train/public/b")

    everything = await desk.ask("/", key=owner)
    some = await desk.ask("/")
    one = await desk.ask("/", key=renter)

    assert everything.texts("Name") == ["open", "secret", "train"]
    assert some.texts("Name") == ["open", "train"]
    assert one.texts("Name") == ["train"]


async def test_buckets_come_in_pages_when_asked_for(desk, owner) -> None:
    fill(desk, "train/a", "open/a", "secret/a")

    first = await desk.ask("/?max-buckets=2", key=owner)
    token = first.texts("ContinuationToken")[0]
    second = await desk.ask(f"/?max-buckets=2&continuation-token={token}", key=owner)
    prefixed = await desk.ask("/?prefix=se", key=owner)

    assert first.texts("Name") == ["open", "secret"]
    assert (second.texts("Name"), second.texts("ContinuationToken")) == (["train"], [])
    assert (prefixed.texts("Name"), prefixed.texts("Prefix")) == (["secret"], ["se"])


async def test_head_bucket_says_whether_there_is_one(desk, owner) -> None:
    answers = [
        await desk.ask(target, method="HEAD", key=owner) for target in ("/train", "/ns", "/causeway", "/nowhere")
    ]

    assert [answer.status for answer in answers] == [200, 200, 200, 404]
    assert all(answer.body == b"" for answer in answers)


@pytest.mark.parametrize(("region", "told"), [("us-east-1", ""), ("idc-bj", "idc-bj")])
async def test_the_location_is_the_region_that_the_client_signs_for(desk, region: str, told: str) -> None:
    answer = await desk.ask("/train?location", region=region)
    head = await desk.ask("/train", method="HEAD", region=region)

    assert answer.status == 200
    assert (answer.xml.tag.rpartition("}")[2], answer.xml.text or "") == ("LocationConstraint", told)
    assert head.headers["x-amz-bucket-region"] == region


async def test_questions_in_passing_get_s3s_empty_forms(desk) -> None:
    fill(desk, "train/a")

    versioning = await desk.ask("/train?versioning")
    bucket_acl = await desk.ask("/train?acl")
    object_acl = await desk.ask("/train/a?acl")
    tagging = await desk.ask("/train/a?tagging")

    assert [a.status for a in (versioning, bucket_acl, object_acl, tagging)] == [200] * 4
    assert len(versioning.xml) == 0
    assert bucket_acl.texts("Permission") == object_acl.texts("Permission") == ["FULL_CONTROL"]
    assert tagging.texts("TagSet") == [""]


async def test_the_empty_forms_of_what_is_not_there_are_404(desk, owner) -> None:
    answers = [
        await desk.ask(t, key=owner)
        for t in ("/nowhere?versioning", "/nowhere?acl", "/train/x?acl", "/train/x?tagging")
    ]

    assert [(a.status, a.code) for a in answers] == [(404, "NoSuchBucket")] * 2 + [(404, "NoSuchKey")] * 2


@pytest.mark.parametrize(
    "target", ["/train?uploads", "/train?policy", "/train/a?retention", "/train/a?torrent", "/train/a?uploadId=1"]
)
async def test_what_is_not_served_is_501_and_never_silence(desk, target: str) -> None:
    fill(desk, "train/a")

    answer = await desk.ask(target)

    assert (answer.status, answer.code) == (501, "NotImplemented")
