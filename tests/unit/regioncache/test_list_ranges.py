"""Which pages of a list have a key in their range, against a look at each of them."""

from hypothesis import given
from hypothesis import strategies as st

from regioncache.listranges import END, PageName, Ranges

KEYS = ["", "a", "a\0", "a/", "a/b", "b", "b\U0010ffff", "c", "\U0010ffff" * 256, END + "\U0010ffff"]
keys = st.sampled_from(KEYS)
page = st.tuples(st.builds(PageName, keys, st.integers(1, 3)), st.none() | keys)


@given(st.lists(page, max_size=10, unique_by=lambda one: one[0]), st.data())
def test_a_key_is_found_under_the_pages_that_reach_it_and_no_others(
    pages: list[tuple[PageName, str | None]], data: st.DataObject
) -> None:
    ranges = Ranges()
    for name, upto in pages:
        ranges.add(name, upto)
    left = data.draw(st.permutations(pages))
    for gone in data.draw(st.lists(st.sampled_from(pages), unique=True) if pages else st.just([])):
        ranges.remove(*gone)
        left.remove(gone)

    for key in KEYS[:-1]:
        over = {name for name, upto in left if name.after < key and (upto is None or key <= upto)}
        assert (set(ranges.find(key)), len(ranges.find(key))) == (over, len(over))

    for gone in left:
        ranges.remove(*gone)
    assert not ranges
