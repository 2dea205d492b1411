"""What a run of the fidelity check found, one record a comparison, and the rules by which a comparison passes.

A comparison is named in `steps.py`, which has its rule and its tolerance; scripts say only what is compared. Each call also
spoils a copy of our values (one element, or for `share` all of them) and puts a NaN in it, and refuses to go on if the rule
accepts that: a comparison that cannot fail is an error here, not a result.

The rules:

| rule | passes if | `largest` is |
|---|---|---|
| `equal` | at most `tolerance` elements differ | how many differ |
| `within` | every element differs by at most `tolerance` times the scale | the largest difference over the scale |
| `share` | 99.9 % of elements differ by at most `tolerance` | the largest difference; `share` is the share |
"""

import json

import numpy as np

import steps

SHARE = 0.999


class Records:
    """Comparisons of one run. Several calls may add to one comparison: counts add up, and the largest difference stays."""

    def __init__(self):
        self.rows = {}

    def compare(self, comparison, what, ours, theirs, against, scale=1.0):
        """Compares two arrays of one shape and prints a line; `against` is the program and its version."""
        entry = steps.COMPARISONS[comparison]
        ours, theirs = as_array(ours), as_array(theirs)
        if ours.shape != theirs.shape:
            self.add(comparison, what, False, f"shape {ours.shape}, the original has {theirs.shape}", 0, float("inf"), 0.0, against)
            return
        refuse_if_blind(entry, comparison, ours, theirs, scale)
        good, largest, share = judge(entry, ours, theirs, scale)
        self.add(comparison, what, good, words(entry, ours.size, largest, share), ours.size, largest, share, against)

    def add(self, comparison, what, good, text, values, largest, share, against):
        print(f"{'ok  ' if good else 'FAIL'} {comparison}, {what}: {text}", flush=True)
        row = self.rows.setdefault(
            comparison,
            {"comparison": comparison, "against": against, "passed": True, "could_fail": True, "values": 0, "largest": 0.0, "share": 1.0},
        )
        if row["against"] != against:
            raise SystemExit(f"error: `{comparison}` is compared with {row['against']} and with {against}")
        row["passed"] &= bool(good)
        # Shares are over all elements of a comparison.
        row["share"] = (row["share"] * row["values"] + share * values) / max(row["values"] + values, 1)
        row["values"] += int(values)
        row["largest"] = max(row["largest"], float(largest))

    @property
    def failed(self):
        return not all(row["passed"] for row in self.rows.values())

    def append_to(self, path):
        with open(path, "a") as file:
            for row in self.rows.values():
                file.write(json.dumps(row) + "\n")


def as_array(values):
    values = np.asarray(values)
    return values.astype(np.int64) if values.dtype.kind in "biu" else values.astype(np.float64)


def judge(entry, ours, theirs, scale):
    """Whether the rule accepts, the number that the rule is about, and the share of elements within the tolerance."""
    if entry.rule == "equal":
        differ = int(np.sum(ours != theirs))
        return differ <= entry.tolerance, differ, 1 - differ / max(ours.size, 1)
    difference = np.abs(ours.astype(float) - theirs) / scale
    # A NaN on either side is a difference without bound.
    difference = np.where(np.isnan(difference), np.inf, difference)
    largest = float(difference.max()) if difference.size else float("inf")
    share = float(np.mean(difference <= entry.tolerance)) if difference.size else 0.0
    good = share >= SHARE if entry.rule == "share" else largest <= entry.tolerance
    return good, largest, share


def refuse_if_blind(entry, comparison, ours, theirs, scale):
    """An element that is off by more than the rule allows, and one that is missing, must be seen."""
    if ours.size == 0:
        raise SystemExit(f"error: `{comparison}` compares nothing")
    for spoiled in spoilt(entry, theirs, scale):
        if judge(entry, spoiled, theirs, scale)[0]:
            raise SystemExit(f"error: `{comparison}` would accept values that are wrong")


def spoilt(entry, values, scale):
    spoiled = values.copy().reshape(-1)
    if entry.rule == "equal":
        spoiled[: int(entry.tolerance) + 1] += 1
        return [spoiled.reshape(values.shape)]
    where = slice(None, None, 100) if entry.rule == "share" else slice(len(spoiled) // 2, len(spoiled) // 2 + 1)
    spoiled = spoiled.astype(float)
    missing = spoiled.copy()
    spoiled[where] += 3 * scale * max(entry.tolerance, np.finfo(float).eps)
    missing[where] = np.nan
    return [spoiled.reshape(values.shape), missing.reshape(values.shape)]


def words(entry, count, largest, share):
    if entry.rule == "equal":
        return f"{largest} of {count} {entry.unit}"
    within = f"{100 * share:.3f} % of {count} within {entry.tolerance:g}, " if entry.rule == "share" else f"{count} values, "
    return f"{within}largest difference {largest:.2g} {entry.unit}"
