"""Which receive buffer a line connection gets: large enough for its rate, small enough that its neighbours find room.

What a kernel may hold unread is bounded by the buffer as *read back*, twice what was asked for (man 7 socket); the
window that it offers was measured (Linux 6.18) as 61 % of that at an MTU of 1500, 66 % at 9000, 75 to 90 % at 65000.
So a buffer of X asked for keeps 2 X prepaid and moves 1.2 X or more in a round trip.

The figures at 200 Mbit/s, 80 ms, overhead 1.06: prepaid room is 25 MB/s x (80 + 100) ms = 4.5 MB.

- Large replies: rate x round trip = 1.87 MB, but 2 X must fit three quarters of the room: 1.5 MiB. One stream of it was
  measured at 23 MB/s payload, 98 % of the quota. Several streams divide that room among them.
- Replies of unknown length, often a whole object of 100 KiB: 88 KiB is the least that brings one in one round trip at
  an MTU of 1500. 2 X and the quantum are 184 KiB, so 22 requests are under way at once: 22 x 100 KiB in 80 ms are
  28 MB/s, 120 % of the quota, which leaves 16 ms a request for delays. With 64 KiB 31 would be under way, but of two
  round trips each: 20 MB/s, 84 %.
- Replies of known length up to 1 MiB hold at most their length; 1 MiB lets them come in one round trip. So are those of
  unknown length treated while the line has room to spare: a lone reader of objects of 1 MiB does not wait ten of them.
"""

import math

from regioncache.pages import KIB, MIB, STEP_BYTES

LEAST_BUFFER = 64 * KIB
MOST_BUFFER = 4 * MIB
SMALL_BUFFER = 88 * KIB
"""For replies whose length is unknown, or at most this: 100 KiB and the reply's head in one round trip."""
SMALL_REQUEST = MIB
"""Requests up to this may use the quarter of the prepaid room that is kept (line-rules, Before it arrives)."""
LEAST_QUANTUM = 8 * KIB
WINDOW_PART = 0.61
"""Of a buffer as read back, the window that the kernel offers: the least that was measured, see above."""


def quantum(readback: int) -> int:
    """Returns the least that can be debited and read at once on a buffer while the prepaid room is full.

    It is reserved beside the buffer. A 128th of it: on a fast line with large buffers small steps would cost the CPU.
    """
    return max(LEAST_QUANTUM, min(STEP_BYTES, readback // 128))


def wanted(length: int, known: bool, in_round_trip: float, most: float) -> int:
    """Returns the buffer to ask for, bytes.

    Args:
        length: The most payload bytes the reply may have.
        known: Whether the reply will have about that length, or may be taken to.
        in_round_trip: Payload bytes that the payer's rate moves in a round trip.
        most: Payload bytes that the request may keep prepaid: the buffer as read back, and its quantum.
    """
    if length <= SMALL_BUFFER or (length <= SMALL_REQUEST and not known):
        return _rounded(max(LEAST_BUFFER, min(SMALL_BUFFER, in_round_trip)))
    if length <= SMALL_REQUEST:
        # It holds its length at most, whatever the buffer.
        return _rounded(max(LEAST_BUFFER, min(MIB, in_round_trip)))
    readback = min(most * 128 / 129, most - LEAST_QUANTUM)
    return _rounded(max(LEAST_BUFFER, min(MOST_BUFFER, readback / 2, in_round_trip)))


def lanes(readback: int, in_round_trip: float, most: float) -> int:
    """Returns how many requests at once fill a line where the kernel makes buffers of no more than `readback` bytes.

    Args:
        readback: The buffer as read back.
        in_round_trip: Payload bytes that the payer's rate moves in a round trip.
        most: Payload bytes that all of them together may keep prepaid.
    """
    fit = int(most / (readback + quantum(readback)))
    return max(1, min(fit, math.ceil(in_round_trip / (WINDOW_PART * readback))))


def among(streams: int) -> int:
    """Returns by how many a leaf's room is divided: at least `streams`, of the series 1, 2, 3, 4, 6, 8, 12, 16...

    Few figures, so that one stream more or less finds warm connections with the buffer that it wants.
    """
    power = 1 << max(0, streams - 1).bit_length()
    return power * 3 // 4 if power >= 4 and streams <= power * 3 // 4 else power


def _rounded(nbytes: float) -> int:
    """Down to an eighth of a power of two: connections are pooled by buffer, jitter must not part them."""
    whole = int(nbytes)
    step = 1 << max(0, whole.bit_length() - 4)
    return whole - whole % step
