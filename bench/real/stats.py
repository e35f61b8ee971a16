"""Medians, percentiles, spreads and ratios of small samples. Pure."""

import math


def median(values):
    """The middle value, or the mean of the two in the middle; None of nothing. math.inf is a value."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentile(values, percent):
    """The nearest-rank percentile: the smallest value that at least @percent % of the values do not exceed."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = math.ceil(len(ordered) * percent / 100)
    return ordered[max(rank, 1) - 1]


def summary(values):
    """{"n", "median", "low", "high"} of those that are not None; None when there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"n": len(known), "median": median(known), "low": min(known), "high": max(known)}


def ratios(values, base):
    """Each of @values against the median of @base; nothing without a base."""
    middle = median([value for value in base if value is not None])
    if not middle or math.isinf(middle):
        return []
    return [value / middle for value in values if value is not None]


# What is going on beside an interval: so many of those in which nothing was given, the nearest ones.
QUIET_NEIGHBOURS = 9


def lost_share(intervals):
    """
    The share of work lost while something was taken now and then. @intervals: [(seconds, work done, how much was taken)]
    in order. What an interval in which something was taken should have brought is the median rate of the quiet ones
    nearest to it: so rates that drift, or differ by half from second to second, do not count as lost or won. It is a share
    of what should have been done from the first such interval to the last. None without enough quiet intervals, or where
    nothing was taken.
    """
    quiet = [number for number, (_, _, taken) in enumerate(intervals) if taken == 0]
    if len(quiet) < QUIET_NEIGHBOURS or len(quiet) == len(intervals):
        return None
    taking = [number for number, (_, _, taken) in enumerate(intervals) if taken > 0]
    expected = missing = 0.0
    for number in range(taking[0], taking[-1] + 1):
        seconds, work, taken = intervals[number]
        near = sorted(quiet, key=lambda other, here=number: abs(other - here))[:QUIET_NEIGHBOURS]
        rate = median([intervals[other][1] / intervals[other][0] for other in near])
        expected += rate * seconds
        if taken > 0:
            missing += rate * seconds - work
    return max(0.0, missing / expected) if expected > 0 else None
