"""Traffic shares in percent, and the server weights that give them exactly."""

from collections.abc import Mapping
from math import gcd, lcm

MAX_WEIGHT = 256


def server_weights(shares: Mapping[str, int], serving: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the weight (0 to 256) of each server of each slot, from the slots' shares and the number of their servers.

    They are the smallest whole numbers in the right proportion, so that round-robin is exact over a short cycle. Where
    equal servers would take a weight above 256, as for 99 % on one and 1 % on four, a slot's servers differ by one,
    which may leave some of them without traffic; the shares stay exact.
    """
    counts = {slot: count for slot, count in serving.items() if count > 0}
    divisor = gcd(*(shares.get(slot, 0) for slot in counts)) or 1
    parts = {slot: shares.get(slot, 0) // divisor for slot in counts}
    exact = lcm(*(count // gcd(count, parts[slot]) for slot, count in counts.items() if parts[slot]))
    most = min((MAX_WEIGHT * count // parts[slot] for slot, count in counts.items() if parts[slot]), default=1)
    factor = min(exact, most)
    return {slot: _spread(parts[slot] * factor, count) for slot, count in counts.items()}


def _spread(total: int, count: int) -> list[int]:
    each, more = divmod(total, count)
    return [each + 1] * more + [each] * (count - more)


def stated_shares(totals: Mapping[str, int]) -> dict[str, int]:
    """Return the share in percent of each slot, from the sum of its servers' weights; they sum to 100, or are all 0."""
    everything = sum(totals.values())
    if not everything:
        return dict.fromkeys(totals, 0)
    shares = {slot: total * 100 // everything for slot, total in totals.items()}
    remainders = sorted(totals, key=lambda slot: totals[slot] * 100 % everything, reverse=True)
    for slot in remainders[: 100 - sum(shares.values())]:
        shares[slot] += 1
    return shares
