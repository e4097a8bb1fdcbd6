"""ListObjectVersions on buckets without versions: the current objects, each as `null`."""

import pytest

pytestmark = pytest.mark.anyio


def fill(desk, *names: str) -> None:
    for name in names:
        desk.files.put(f"/ns/train/{name}", 7)


async def test_every_object_is_its_newest_version_and_is_called_null(desk) -> None:
    fill(desk, "a", "b&c")

    answer = await desk.ask("/train?versions")

    assert answer.xml.tag.endswith("}ListVersionsResult")
    assert (answer.texts("Name"), answer.texts("Key")) == (["train"], ["a", "b&c"])
    assert answer.texts("VersionId") == ["null", "null"]
    assert answer.texts("IsLatest") == ["true", "true"]
    assert answer.texts("Size") == ["7", "7"]
    assert answer.texts("ETag") == [desk.files.objects[f"/ns/train/{name}"].etag for name in ("a", "b&c")]
    assert answer.texts("StorageClass") == ["STANDARD", "STANDARD"]
    assert answer.texts("LastModified")[0].endswith("Z")
    assert answer.texts("IsTruncated") == ["false"]
    assert not answer.texts("DeleteMarker")
    assert not answer.texts("NextKeyMarker")


async def test_pages_go_on_from_both_markers_or_from_the_key_alone(desk) -> None:
    fill(desk, *(f"{n:02d}" for n in range(7)))
    for with_version in (True, False):
        seen: list[str] = []
        markers = ""
        while True:
            answer = await desk.ask(f"/train?versions&max-keys=3{markers}")
            seen += answer.texts("Key")
            if answer.texts("IsTruncated") == ["false"]:
                break
            assert answer.texts("NextVersionIdMarker") == ["null"]
            markers = f"&key-marker={answer.texts('NextKeyMarker')[0]}"
            markers += "&version-id-marker=null" if with_version else ""

        assert seen == [f"{n:02d}" for n in range(7)]


async def test_a_page_that_ends_with_a_prefix_goes_on_behind_all_of_it(desk) -> None:
    fill(desk, "a/1", "a/2", "b")

    first = await desk.ask("/train?versions&delimiter=%2F&max-keys=1")
    second = await desk.ask("/train?versions&delimiter=%2F&key-marker=a%2F")

    assert (first.texts("Prefix"), first.texts("NextKeyMarker"), first.texts("NextVersionIdMarker")) == (
        ["", "a/"],
        ["a/"],
        [],
    )
    assert second.texts("Key") == ["b"]


async def test_names_are_encoded_where_that_is_asked_for(desk) -> None:
    fill(desk, "a b/c", "\x01")

    answer = await desk.ask("/train?versions&encoding-type=url&prefix=a%20&key-marker=a%20%01&delimiter=%20")
    odd = await desk.ask("/train?versions&encoding-type=url")

    assert (answer.texts("Prefix"), answer.texts("KeyMarker"), answer.texts("Delimiter")) == (
        ["a%20"],
        ["a%20%01"],
        ["%20"],
    )
    assert (answer.texts("Key"), answer.texts("EncodingType")) == (["a%20b/c"], ["url"])
    assert odd.texts("Key") == ["%01", "a%20b/c"]


async def test_the_options_of_other_lists_mean_nothing_here(desk) -> None:
    fill(desk, "a", "b")

    answer = await desk.ask("/train?versions&marker=a&start-after=a&continuation-token=x&list-type=2")

    assert answer.texts("Key") == ["a", "b"]


@pytest.mark.parametrize(
    "query", ["version-id-marker=null", "key-marker=a&version-id-marker=other", "max-keys=x", "encoding-type=x"]
)
async def test_markers_that_cannot_be_are_400(desk, query: str) -> None:
    answer = await desk.ask(f"/train?versions&{query}")

    assert (answer.status, answer.code) == (400, "InvalidArgument")


async def test_it_shows_only_what_the_key_may_see(desk, renter) -> None:
    fill(desk, "a", "public/b")

    shown = await desk.ask("/train?versions", key=renter)
    hidden = await desk.ask("/train?versions&prefix=secret%2F", key=renter)

    assert shown.texts("Key") == ["public/b"]
    assert (hidden.status, hidden.code) == (403, "AccessDenied")


async def test_no_keys_asked_for_asks_nobody(desk) -> None:
    fill(desk, "a")

    answer = await desk.ask("/train?versions&max-keys=0")

    assert (answer.texts("Key"), answer.texts("IsTruncated")) == ([], ["false"])
    assert desk.files.calls["list"] == 0
