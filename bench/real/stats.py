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


def lost_share(before, during, after):
    """The share of work lost while something went on, against the mean of the rates before and after; never below 0."""
    usual = (before + after) / 2
    return max(0.0, 1 - during / usual) if usual > 0 else None
