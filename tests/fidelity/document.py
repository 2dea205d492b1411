"""Writes docs/fidelity.md from the table of steps and the records of a run.

    document.py write RECORDS    refuses if a comparison failed or has no record; keeps the records beside this file
    document.py check            fails if the document is not what those records and the table give
    document.py table            the table as JSON, for the tests

Needs the standard library of Python 3.9 or later.
"""

import difflib
import json
import sys
from pathlib import Path

import steps

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs/fidelity.md"
KEPT = HERE / "records.json"


def main(arguments):
    if arguments[:1] == ["write"] and len(arguments) == 2:
        return write(Path(arguments[1]))
    if arguments == ["check"]:
        return check()
    if arguments == ["table"]:
        print(json.dumps([{"id": s.id, "comparisons": [c.name for c in s.comparisons], "tests": s.tests} for s in steps.STEPS]))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


def write(path):
    records = [json.loads(line) for line in path.read_text().splitlines()]
    about = {}
    for record in records:
        about.update(record.get("about", {}))
    rows = {record["comparison"]: record for record in records if "comparison" in record}
    refuse_incomplete(rows)
    kept = {"about": about, "records": [rows[name] for name in steps.COMPARISONS]}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    PAGE.write_text(page(kept))
    print(f"{PAGE} has {len(rows)} comparisons of {len(steps.STEPS)} steps")
    return 0


def refuse_incomplete(rows):
    missing = [name for name in steps.COMPARISONS if name not in rows]
    failed = [name for name, row in rows.items() if not row["passed"]]
    unknown = [name for name in rows if name not in steps.COMPARISONS]
    blind = [name for name, row in rows.items() if not row["could_fail"] or row["values"] == 0]
    for words, names in (("were not measured", missing), ("failed", failed), ("are not in the table", unknown), ("could not fail", blind)):
        if names:
            sys.exit(f"error: these comparisons {words}: {', '.join(names)}")


def check():
    there = PAGE.read_text() if PAGE.exists() else ""
    kept = json.loads(KEPT.read_text())
    refuse_incomplete({row["comparison"]: row for row in kept["records"]})
    expected = page(kept)
    if there == expected:
        return 0
    lines = difflib.unified_diff(there.splitlines(), expected.splitlines(), "docs/fidelity.md", "as it should be", lineterm="")
    print("\n".join(list(lines)[:40]))
    print("error: docs/fidelity.md is not current\nhint: run `./just fidelity --original FOLDER --write` and commit it", file=sys.stderr)
    return 1


INTRO = """<!-- Made by `./just fidelity --original FOLDER --write` from a run of the original programs; not to be edited by hand. -->

# How near the numbers are to the original's

The analysis that ships is that of Benson, Song et al. (2025). Here is, step by step, what the original program does, what this one does, how the two were
compared, and the largest difference found. The numbers are from running the original's own functions:
[visual-autolabel](https://github.com/noahbenson/visual-autolabel) at commit `{commit}` (MIT), and neuropythy, on which it rests. None of its code is part of
this project.

```sh
git clone https://github.com/noahbenson/visual-autolabel && git -C visual-autolabel checkout {short}
./just fidelity --original visual-autolabel            # compares
./just fidelity --original visual-autolabel --write    # and writes this page, unless a comparison fails
./just fidelity                                        # only what needs no PyTorch
```

What the comparisons run on is public: fsaverage5, which ships with nilearn, with the template of Benson et al. (2014) in place of measured maps. It has real
anatomy, 10 242 vertices a hemisphere, an image of 512 x 1024 pixels, as subjects of the study have.

{machine}

"""

RULES = """## How to read the tables

*Largest difference* is over all values of a comparison, after the rule: **equal**: how many values differ; **within**: the largest difference of any value;
**99.9 %**: the same, but one value in a thousand may be further off than the tolerance, and the number in the table is the largest of all. Every comparison was
also made with a copy of our values in which some were spoiled, and would have failed.

"""

LIMITS = """## What is not compared

- **The study's own subjects.** Their data need an account and, for the families, an agreement. Files of the same formats and names are simulated in tests.
- **Scores of the paper.** They follow from those subjects and from models that are not part of this project; claims about them are in the pipeline file
  (`claims:`) and are checked by a run on the real data.
- **Trainings at the study's learning rates.** They differ between two runs of the original too: see the step *A training*.
- **A GPU.** All numbers here are from a processor.
"""


def page(kept):
    about, rows = kept["about"], {row["comparison"]: row for row in kept["records"]}
    kinds = ", ".join(f"`{name}` {version}" for name, version in sorted(about["kinds"].items()))
    machine = (
        f"Measured on x86-64 with {about['processor']}, one thread, with torch {about['torch']} and torchvision {about['torchvision']} under the original; "
        f"versions of the kinds: {kinds}."
    )
    text = INTRO.format(commit=steps.COMMIT, short=steps.COMMIT[:12], machine=machine)
    text += "## All steps\n\n| step | compared | values | largest difference | tolerance |\n|---|---|---|---|---|\n"
    for step in steps.STEPS:
        for comparison in step.comparisons:
            row = rows[comparison.name]
            text += (
                f"| [{step.id}](#{step.id}) | {comparison.quantity} | {grouped(row['values'])} | {largest(comparison, row)} | {tolerance(comparison)} |\n"
            )
    text += "\n" + RULES
    for step in steps.STEPS:
        text += section(step, rows)
    return text + LIMITS


def section(step, rows):
    text = f'<a id="{step.id}"></a>\n\n## {step.title}\n\n'
    text += f"**The original.** {step.original}\n\nWhere: {'; '.join(step.sources)}.\n\n"
    text += f"**Here.** {step.ours}\n\n**Compared.** {step.compared}\n\n"
    text += "| compared | with | values | largest difference | tolerance | why that |\n|---|---|---|---|---|---|\n"
    for comparison in step.comparisons:
        row = rows[comparison.name]
        text += (
            f"| {comparison.quantity} | {row['against']} | {grouped(row['values'])} | {largest(comparison, row)} | {tolerance(comparison)} | {comparison.why} |\n"
        )
    if step.by_design:
        text += f"\n**Otherwise on purpose.** {step.by_design}\n"
    if step.tests:
        text += f"\nHeld in every run of the tests by {', '.join(map(as_code, step.tests))}.\n"
    return text + "\n"


def as_code(test):
    file, _, function = test.partition(": ")
    return f"`{function}` in `{file}`" if function else f"`{file}`"


def largest(comparison, row):
    unit = f" {comparison.unit}" if comparison.unit else ""
    if comparison.rule == "equal":
        return f"{int(row['largest'])}{unit}"
    share = f"; {100 * row['share']:.4f} % within" if comparison.rule == "share" else ""
    return f"{row['largest']:.1e}{unit}{share}" if row["largest"] else f"0{share}"


def tolerance(comparison):
    if comparison.rule == "equal":
        return "equal" if comparison.tolerance == 0 else f"at most {int(comparison.tolerance)}"
    return f"99.9 % within {comparison.tolerance:g}" if comparison.rule == "share" else f"within {comparison.tolerance:g}"


def grouped(count):
    return f"{count:,}".replace(",", "\N{NO-BREAK SPACE}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
