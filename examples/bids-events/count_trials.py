"""Counts the trials of every participant by condition, and names participants without events."""

import csv
import sys
from collections import Counter
from pathlib import Path

events, participants = Path(sys.argv[1]), sys.argv[2]

counts = Counter()
for path in events.rglob("*_events.tsv"):
    subject = path.name.split("_")[0]
    with open(path, newline="") as file:
        for event in csv.DictReader(file, delimiter="\t"):
            counts[subject, event["trial_type"]] += 1

conditions = sorted({condition for _, condition in counts})
with open(participants, newline="") as file:
    subjects = [row["participant_id"] for row in csv.DictReader(file, delimiter="\t")]

print("participant_id", *conditions, sep="\t")
for subject in subjects:
    numbers = [counts[subject, condition] for condition in conditions]
    print(subject, *(numbers if any(numbers) else ["n/a"] * len(conditions)), sep="\t")
