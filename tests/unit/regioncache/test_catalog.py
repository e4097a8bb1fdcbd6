"""What is known of newest versions, and what a doubt does to it."""

from hypothesis import given
from hypothesis import strategies as st

from regioncache.catalog import Catalog
from regioncache.errors import NoSuchObject, OriginForbids, OriginUnavailable
from regioncache.pages import Meta, ObjectId, Version

BUCKET = b"b" * 16


def oid(key: str) -> ObjectId:
    return ObjectId(BUCKET, key)


def meta(learned_at: float, version: str = '"v"') -> Meta:
    return Meta(Version(version), 10, version, 0.0, "x", (), learned_at)


def test_what_was_learned_is_found_with_its_age() -> None:
    catalog = Catalog()
    catalog.learn(oid("k"), meta(100.0), catalog.ticket())

    assert catalog.find(oid("k")) == meta(100.0)
    assert catalog.age(oid("k"), meta(100.0), 130.0) == 30.0
    assert catalog.age(oid("k"), meta(100.0), 96.0) == 0.0, "a clock that went back makes nothing younger than new"


def test_what_was_learned_in_the_future_is_not_believed_until_then() -> None:
    catalog = Catalog()
    catalog.learn(oid("k"), meta(100.0), catalog.ticket())

    assert catalog.age(oid("k"), meta(100.0), 94.0) is None


def test_a_doubt_takes_the_age_from_what_was_learned_before_and_not_from_what_is_learned_after() -> None:
    catalog = Catalog()
    catalog.doubt(BUCKET, "dir/", 100.0)

    assert catalog.age(oid("dir/k"), meta(99.0), 101.0) is None
    assert catalog.age(oid("dir/k"), meta(100.0), 101.0) is None
    assert catalog.age(oid("dir/k"), meta(100.5), 101.0) == 0.5
    assert catalog.age(oid("other"), meta(99.0), 101.0) == 2.0
    assert catalog.age(ObjectId(b"c" * 16, "dir/k"), meta(99.0), 101.0) == 2.0


def test_to_distrust_a_key_touches_no_key_that_begins_like_it() -> None:
    catalog = Catalog()
    catalog.distrust(oid("part-1"), 100.0)

    assert catalog.age(oid("part-1"), meta(99.0), 101.0) is None
    assert catalog.age(oid("part-10"), meta(99.0), 101.0) == 2.0


def test_an_answer_asked_for_before_a_doubt_teaches_nothing() -> None:
    catalog = Catalog()
    before = catalog.ticket()
    catalog.doubt(BUCKET, "k", 100.0)

    assert not catalog.learn(oid("k"), meta(101.0), before)
    catalog.learn_absent(oid("k"), NoSuchObject("k"), before, 0.0, 101.0)

    assert catalog.find(oid("k")) is None
    assert catalog.absence(oid("k"), 0.0) is None
    assert catalog.learn(oid("k"), meta(101.0), catalog.ticket())


def test_an_absence_is_remembered_for_a_moment_and_then_asked_about_again() -> None:
    catalog = Catalog()
    catalog.learn(oid("k"), meta(1.0), catalog.ticket())
    catalog.learn_absent(oid("k"), NoSuchObject("gone"), catalog.ticket(), 50.0, 2.0)

    assert isinstance(catalog.absence(oid("k"), 51.4), NoSuchObject)
    assert catalog.absence(oid("k"), 51.6) is None
    assert catalog.find(oid("k")) is None
    assert catalog.age(oid("k"), meta(1.0), 3.0) is None, "what the disk holds of it is not believed either"


def test_absent_keys_that_were_never_held_cast_no_doubt_on_others() -> None:
    catalog = Catalog(limit=3, doubts=3)
    catalog.learn(oid("k"), meta(100.0), catalog.ticket())

    for number in range(10):
        fault = NoSuchObject("no")
        catalog.learn_absent(oid(f"a{number}"), fault, catalog.ticket(), 0.0, 101.0, held=False)

    assert catalog.age(oid("k"), meta(100.0), 102.0) == 2.0
    assert catalog.statistics().doubts == 0


def test_an_absence_keeps_nothing_of_the_question_that_found_it() -> None:
    catalog = Catalog()
    try:
        raise NoSuchObject("gone") from ValueError("why")
    except NoSuchObject as fault:
        catalog.learn_absent(oid("k"), fault, catalog.ticket(), 0.0, 1.0)

    found = catalog.absence(oid("k"), 0.5)

    assert found is not None
    assert (type(found), str(found), found.__traceback__, found.__cause__) == (NoSuchObject, "gone", None, None)


def test_absences_that_are_over_are_let_go() -> None:
    catalog = Catalog()
    for number in range(100):
        catalog.learn_absent(oid(f"a{number}"), NoSuchObject("no"), catalog.ticket(), float(number), 1.0)

    assert catalog.statistics().absent == 2


def test_a_refusal_is_remembered_and_says_nothing_about_the_version() -> None:
    catalog = Catalog()
    catalog.learn(oid("k"), meta(1.0), catalog.ticket())
    catalog.learn_absent(oid("k"), OriginForbids("no"), catalog.ticket(), 50.0, 2.0)

    assert isinstance(catalog.absence(oid("k"), 51.0), OriginForbids)
    assert catalog.find(oid("k")) == meta(1.0)


def test_a_fault_that_says_nothing_about_the_key_is_not_remembered() -> None:
    catalog = Catalog()
    catalog.learn_absent(oid("k"), OriginUnavailable("reset"), catalog.ticket(), 50.0, 2.0)

    assert catalog.absence(oid("k"), 50.0) is None


def test_an_object_that_is_there_after_all_is_absent_no_more() -> None:
    catalog = Catalog()
    catalog.learn_absent(oid("k"), NoSuchObject("no"), catalog.ticket(), 50.0, 2.0)
    catalog.learn(oid("k"), meta(3.0), catalog.ticket())

    assert catalog.absence(oid("k"), 50.0) is None
    assert catalog.age(oid("k"), meta(3.0), 4.0) == 1.0


def test_every_table_is_bounded() -> None:
    catalog = Catalog(limit=10, doubts=5)
    for number in range(100):
        catalog.learn(oid(f"k{number}"), meta(1.0), catalog.ticket())
        catalog.learn_absent(oid(f"a{number}"), OriginForbids("no"), catalog.ticket(), 0.0, 1.0)
        catalog.distrust(oid(f"d{number}"), 1.0)
        catalog.doubt(BUCKET, f"p{number:03}/", 1.0)

    found = catalog.statistics()
    assert (found.known, found.absent, found.doubts) == (10, 10, 10 + 5)


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["", "a", "a/", "a/b", "b", "ab"])), max_size=30),
    st.sampled_from(["a", "a/b", "b", "abc"]),
    st.integers(0, 40),
)
def test_no_doubt_is_ever_forgotten_however_few_are_remembered(
    doubts: list[tuple[bool, str]], key: str, learned: int
) -> None:
    catalog = Catalog(limit=3, doubts=3)
    for at, (exact, name) in enumerate(doubts):
        if exact:
            catalog.distrust(oid(name), float(at))
        else:
            catalog.doubt(BUCKET, name, float(at))

    doubted = any(
        at >= learned and (name == key if exact else key.startswith(name)) for at, (exact, name) in enumerate(doubts)
    )
    if doubted:
        assert catalog.age(oid(key), meta(float(learned)), 100.0) is None


def test_a_doubt_says_how_much_it_touches() -> None:
    catalog = Catalog()
    catalog.learn(oid("dir/a"), meta(1.0), catalog.ticket())
    catalog.learn(oid("dir/b"), meta(1.0), catalog.ticket())
    catalog.learn(oid("other"), meta(1.0), catalog.ticket())
    catalog.learn_absent(oid("dir/c"), OriginForbids("no"), catalog.ticket(), 0.0, 1.0)

    assert catalog.doubt(BUCKET, "dir/", 2.0) == 3
    assert catalog.absence(oid("dir/c"), 0.0) is None
