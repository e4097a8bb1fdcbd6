"""What an operator hears of the members: who came and went, and what is wrong, each once."""

from collections.abc import Mapping

from regioncache.cluster.view import Change, View
from regioncache.tidings import Tidings

MISSED = 3
"""So many questions without an answer in a row are worth a word."""


class Telling:
    """Mutable state: what was said and still holds."""

    def __init__(self, name: str, tidings: Tidings) -> None:
        """`name` is this member's."""
        self._name = name
        self._tidings = tidings
        self._away = ""
        self._in = False
        self._strange: dict[str, str] = {}
        self._missed: dict[str, int] = {}

    def away(self, why: str) -> None:
        """etcd does not tell us of changes."""
        if why != self._away:
            self._away = why
            self._tidings.warning(f"members: {why}; reads go on by the last view")

    def back(self) -> None:
        """etcd does."""
        if self._away:
            self._away = ""
            self._tidings.news("members: etcd tells of every change again")

    def by_the_disk(self, why: str, view: View) -> None:
        """A start goes on without etcd."""
        self._tidings.warning(
            f"etcd does not answer ({why}): this node goes on by the view on its disk, epoch {view.epoch} with"
            f" {len(view.members)} members"
        )

    def waits(self, why: str) -> None:
        """A start can not go on."""
        self._tidings.warning(
            f"etcd does not answer ({why}), and there is no view on the disk: this node waits, since it cannot know who"
            " owns what"
        )

    def changed(self, view: View, change: Change, *, left: bool) -> None:
        """Another view is in force; `left`: this member took its leave itself."""
        parts = [f"{name} came" for name in change.came]
        parts += [f"{name} is gone" for name in change.went]
        parts += [f"{name} is {state}" for name, state in change.states]
        parts += [f"{name} is another process" for name in change.anew]
        if parts:
            self._tidings.news(f"members, epoch {view.epoch}: {', '.join(parts)}; {len(view.members)} in all")
        # A view learned of another member before this process is registered tells nothing of it: it is on its way in.
        was, self._in = self._in, view.of(self._name) is not None
        if was and not self._in and not left:
            self._tidings.warning(
                "this node is a member no more in the view of the others: what it owned is theirs until it is back"
            )

    def unreadable(self, faults: Mapping[str, str]) -> None:
        """These registrations, by name, cannot be read."""
        for name, why in faults.items():
            if self._strange.get(name) != why:
                self._tidings.warning(f"what is registered as member {name} cannot be read, and it is none: {why}")
        self._strange = dict(faults)

    def asked(self, url: str, why: str) -> None:
        """A member at this peer door was asked; `why` it did not answer as one, empty where it did."""
        missed = self._missed.pop(url, 0)
        if why:
            self._missed[url] = missed + 1
            if missed + 1 == MISSED:
                self._tidings.warning(f"the member at {url} does not answer as one: {why}")
        elif missed >= MISSED:
            self._tidings.news(f"the member at {url} answers again")

    def only(self, urls: set[str]) -> None:
        """No others are asked any more."""
        self._missed = {url: missed for url, missed in self._missed.items() if url in urls}
