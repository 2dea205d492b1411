"""A row per subject, a column per region, out of the list `COORDINATES<TAB>PATH` of a gather."""

import csv
import sys

rows = {}
with open(sys.argv[1]) as cells:
    for coordinates, path in csv.reader(cells, delimiter="\t"):
        subject = dict(pair.split("=") for pair in coordinates.split(", "))["sid"]
        with open(path) as table:
            rows[subject] = dict(csv.reader(table, delimiter="\t"))

regions = sorted(set().union(*rows.values()))
out = csv.writer(sys.stdout, lineterminator="\n")
out.writerow(["subject", *regions])
for subject, of in sorted(rows.items()):
    out.writerow([subject, *(of.get(region, "NA") for region in regions)])
