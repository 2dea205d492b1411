"""Median reaction time and share of correct answers of one subject, by condition."""

import csv
import statistics
import sys

trials, subject, fastest = sys.argv[1], sys.argv[2], float(sys.argv[3])

by_condition = {}
with open(trials, newline="") as file:
    for trial in csv.DictReader(file):
        if float(trial["rt_ms"]) >= fastest:
            by_condition.setdefault(trial["condition"], []).append(trial)

table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(["subject", "condition", "n_trials", "median_rt_ms", "accuracy"])
for condition, kept in sorted(by_condition.items()):
    correct = [trial for trial in kept if trial["correct"] == "1"]
    median = statistics.median(float(trial["rt_ms"]) for trial in correct)
    table.writerow([subject, condition, len(kept), f"{median:.1f}", f"{len(correct) / len(kept):.3f}"])
