#!/usr/bin/env python3
"""What the engine itself costs, next to ninja and doit on the same graphs.

Every stage writes its own name to one file, so nearly all the work is the tools'. Two graphs per size:

- `single`: stages written out one by one, in layers of 100; each reads 3 random stages of the layer above;
- `each`: 10 stages over an axis (a tenth of the size each); each instance reads the same coordinate of the one above.

The tools run in turn, round after round, each time in a new folder: a cold run (nothing there: no outputs, no cache,
no database), then null runs (nothing to do). No folder is emptied for the next round, and what was written is flushed
before the next cold run: for five minutes after many files were deleted, an ext4 without a journal makes new ones several
times more slowly, which would be charged to the tool that runs next and makes most files. The same holds for what was deleted before the
benchmark began (tests, builds, the last benchmark): wait, or give `--folder` on another disk or in memory, to see the
tools' own cost. Reported are medians of wall time, processor time (user and system, with all waited-for children:
`os.wait4`) and the largest resident set of one process, and what the project promises:

    null run  1,000 stages: at most 5 x ninja, at least 5 x faster than doit
    null run 10,000 stages: at most 0.25 s and 60 MiB
    cold run  1,000 stages: at most 2 x ninja in wall and in processor time
    cold run 10,000 stages: at most 1.3 x ten times the cold run of 1,000 (linear)

Bodies run under `sh` in all tools; up to 2,000 stages the rows `pipe+bash` and `ninja+bash` have bash in both.

Exit code 1 if a promise is not kept. Needs `ninja` and `doit`; `scripts/bench` gets them.
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAYER = 100


def single(size, seed=1):
    """Stage names with the names they read, in order: layers of `LAYER`, 3 random parents in the layer above."""
    draw = random.Random(seed)
    above, stages = [], []
    for start in range(0, size, LAYER):
        layer = [f"s{number}" for number in range(start, min(start + LAYER, size))]
        stages += [(name, sorted(draw.sample(above, 3), key=lambda s: int(s[1:])) if above else []) for name in layer]
        above = layer
    return stages


def each(size):
    """10 chains' worth: stage `c3` at coordinate 17 reads `c2` at 17."""
    width = size // 10
    return [(f"c{depth}_{at}", [f"c{depth - 1}_{at}"] if depth else [])
            for depth in range(10) for at in range(1, width + 1)]


def write_pipe(folder, form, size, shell):
    lines = ["pipe: 1", f"pipeline: bench_{form}_{size}", "stages:"]
    if form == "single":
        for name, reads in single(size):
            lines.append(f"  {name}:")
            if reads:
                ports = ", ".join(f"{port}: ${read}.x" for port, read in zip("abc", reads))
                lines.append(f"    in: {{ {ports} }}")
            lines += [f"    run: echo {name} > $OUT_X", f"    shell: {shell}", "    out: { x: x.txt }"]
    else:
        for depth in range(10):
            lines += [f"  c{depth}:", f"    each: {{ at: 1..{size // 10} }}"]
            if depth:
                lines.append(f"    in: {{ a: $c{depth - 1}.x }}")
            lines += [f"    run: echo c{depth}_$EACH_AT > $OUT_X", f"    shell: {shell}", "    out: { x: x.txt }"]
    (folder / "pipeline.yaml").write_text("\n".join(lines) + "\n")


def write_ninja(folder, stages, shell):
    body = "echo $out > $out"
    lines = ["rule r", f"  command = {body}" if shell == "sh" else f"  command = bash -euo pipefail -c '{body}'"]
    lines += [f"build out/{name}: r {' '.join('out/' + read for read in reads)}".rstrip() for name, reads in stages]
    (folder / "build.ninja").write_text("\n".join(lines) + "\n")


def write_doit(folder, stages):
    (folder / "graph.json").write_text(json.dumps(stages))
    (folder / "dodo.py").write_text(
        "import json\n"
        "DOIT_CONFIG = {'verbosity': 0}\n"
        "def task_all():\n"
        "    for name, reads in json.load(open('graph.json')):\n"
        "        yield {'name': name, 'actions': ['echo %s > out/%s' % (name, name)], 'targets': ['out/' + name],\n"
        "               'file_dep': ['out/' + read for read in reads]}\n"
    )


class Tool:
    """A tool with a graph in a folder of its own."""

    def __init__(self, name, program, folder, form, size, jobs, shell="sh"):
        self.name, self.folder = name, folder
        folder.mkdir(parents=True)
        stages = single(size) if form == "single" else each(size)
        if name.startswith("pipe"):
            write_pipe(folder, form, size, shell)
            self.command = [program, "run", "pipeline.yaml", "--plain", "-j", str(jobs), "--cache", "cache"]
        elif name.startswith("ninja"):
            write_ninja(folder, stages, shell)
            self.command = [program, "--quiet", "-j", str(jobs)]
        else:
            write_doit(folder, stages)
            (folder / "out").mkdir()
            self.command = [*program, "-n", str(jobs)]

    def run(self):
        """Wall seconds, processor seconds, largest resident set in MiB."""
        log = self.folder / "output"
        environment = dict(os.environ, HOME=str(self.folder / "home"), XDG_STATE_HOME=str(self.folder / "state"))
        with open(log, "wb") as output:
            started = time.perf_counter()
            process = subprocess.Popen(self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, env=environment)
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{' '.join(self.command)} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measure(make, rounds, nulls):
    """Figures by (tool, `cold` or `null`); `make` gives the tools of a round."""
    figures = {}
    for number in range(rounds):
        tools = make(number)
        for tool in tools:
            os.sync()
            figures.setdefault((tool.name, "cold"), []).append(tool.run())
        for _ in range(nulls):
            for tool in tools:
                figures.setdefault((tool.name, "null"), []).append(tool.run())
    return {what: [statistics.median(column) for column in zip(*rows)] for what, rows in figures.items()}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pipe", default="target/release/pipe", help="the binary to measure")
    options.add_argument("--ninja", default="ninja", help="the ninja to compare with")
    options.add_argument("--sizes", type=int, nargs="+", default=[1000, 10000])
    options.add_argument("--forms", nargs="+", default=["single", "each"], choices=["single", "each"])
    options.add_argument("--rounds", type=int, default=3, help="cold runs of each tool (one for more than 2,000 stages)")
    options.add_argument("--nulls", type=int, default=5, help="null runs after each cold run")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    options.add_argument("--folder", help="where to work (a temporary folder if not given)")
    options.add_argument("--no-doit", action="store_true")
    options.add_argument("--json", help="write the figures to this file as well")
    options = options.parse_args()

    pipe = os.path.abspath(options.pipe)
    ninja = shutil.which(options.ninja) or sys.exit("no `ninja`: pip install ninja")
    base = Path(tempfile.mkdtemp(prefix="pipe-bench-", dir=options.folder))
    print(f"{platform.platform()}, {os.cpu_count()} cores, -j {options.jobs}, load {os.getloadavg()[0]:.1f}, in {base}")
    figures = {}
    try:
        for size in options.sizes:
            for form in options.forms:
                programs = {"ninja": ninja, "pipe": pipe}
                if size <= 2000:
                    programs |= {"ninja+bash": ninja, "pipe+bash": pipe}
                if not options.no_doit and size <= 2000:
                    programs["doit"] = [sys.executable, "-m", "doit"]

                def make(number, form=form, size=size, programs=programs):
                    folder = base / f"{form}-{size}-{number}"
                    return [Tool(name, program, folder / name, form, size, options.jobs,
                                 "bash" if name.endswith("+bash") else "sh")
                            for name, program in programs.items()]

                rounds = options.rounds if size <= 2000 else 1
                figures[form, size] = measure(make, rounds, options.nulls)
                show(form, size, figures[form, size])
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if options.json:
        rows = [dict(form=form, size=size, tool=tool, run=run, wall_s=row[0], cpu_s=row[1], rss_mib=row[2])
                for (form, size), table in figures.items() for (tool, run), row in table.items()]
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(0 if judge(figures) else 1)


def show(form, size, table):
    print(f"\n{form}, {size} stages        wall s   cpu s   MiB    (x ninja: wall, cpu)")
    for (tool, run), (wall, cpu, rss) in sorted(table.items(), key=lambda row: (row[0][1], row[0][0])):
        ninja = table["ninja+bash" if tool.endswith("+bash") else "ninja", run]
        print(f"  {run} {tool:10} {wall:14.3f} {cpu:7.3f} {rss:5.0f}    {wall / ninja[0]:5.2f} {cpu / ninja[1]:5.2f}")
    sys.stdout.flush()


def judge(figures):
    """Prints every promise with what was found; true if all are kept."""
    kept = True

    def promise(text, found, most, unit=""):
        nonlocal kept
        kept &= found <= most
        print(f"  {'kept  ' if found <= most else 'BROKEN'} {text}: {found:.2f}{unit} (at most {most}{unit})")

    print("\npromises")
    for (form, size), table in figures.items():
        pipe_null, pipe_cold = table["pipe", "null"], table["pipe", "cold"]
        if size == 1000:
            promise(f"{form} null 1,000, wall by ninja's", pipe_null[0] / table["ninja", "null"][0], 5)
            promise(f"{form} cold 1,000, wall by ninja's", pipe_cold[0] / table["ninja", "cold"][0], 2)
            promise(f"{form} cold 1,000, cpu by ninja's", pipe_cold[1] / table["ninja", "cold"][1], 2)
            if ("doit", "null") in table:
                promise(f"{form} null 1,000, wall by doit's", pipe_null[0] / table["doit", "null"][0], 0.2)
        if size == 10000:
            promise(f"{form} null 10,000, wall", pipe_null[0], 0.25, " s")
            promise(f"{form} null 10,000, memory", pipe_null[2], 60, " MiB")
            if (form, 1000) in figures:
                small = figures[form, 1000]["pipe", "cold"]
                promise(f"{form} cold 10,000, wall by 10 x that of 1,000", pipe_cold[0] / small[0] / 10, 1.3)
                promise(f"{form} cold 10,000, cpu by 10 x that of 1,000", pipe_cold[1] / small[1] / 10, 1.3)
    return kept


if __name__ == "__main__":
    main()
