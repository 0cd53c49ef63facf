"""Print how long the cells of the notebooks are, by floor, for information only. `make stats` calls this.

The lines of a cell are its source lines without blank lines and `#|` directives. A use cell is a code cell that is
not exported. A check is a cell with an assertion. The sizes are those of the files."""
import re, sys
from pathlib import Path

from fastcore.nbio import read_nb
from numpy import percentile

from run_chapters import FLOORS, ROOT, chapters

CHECK = re.compile(r"^\s*(assert\b|test_\w+\()|\bpytest\.raises|\bassert_\w+\(|\bExceptionExpected", re.M)
COLUMNS = ("cells", "lines", "exported", "use", ">120", "md:code", "checks", "KB")
AIMS = dict(course="lines ≤5/≤15, md:code 0.8–1.2, checks 15–30 %, ≤ 1024 KB",
            engine="lines ≤6/≤20, none > 40, md:code 0.5–0.8, checks 25–40 %, ≤ 307 KB")


def lines(cell): return [l for l in cell.source.splitlines() if l.strip() and not l.startswith("#|")]


def spread(cells, *, longest=True):
    "Lines per cell: median/p90, and the maximum."
    if not (n := [len(lines(c)) for c in cells]): return "–"
    return "/".join(f"{x:.0f}" for x in [*percentile(n, (50, 90), method="inverted_cdf"), *[max(n)]*longest])


def row(name, cells, size):
    "One row of the table."
    code = [c for c in cells if c.cell_type == "code" and lines(c)]
    exports = [any(d.startswith("export") for d in c.directives) for c in code]
    markdown, n = sum(c.cell_type == "markdown" for c in cells), max(1, len(code))
    exported, use = ([c for c, e in zip(code, exports) if e == kind] for kind in (True, False))
    long = sum(len(l) > 120 for c in code for l in lines(c))
    values = (len(code), spread(code), spread(exported), spread(use, longest=False), long,
              f"{markdown/n:.2f}", f"{100*sum(bool(CHECK.search(c.source)) for c in code)/n:.0f} %", f"{size/1024:.0f}")
    return f"{name:26}" + "".join(f"{v!s:>11}" for v in values)


def main(nbs=ROOT/"nbs"):
    "Print the table."
    print("lines, exported: median/p90/max of the lines of a code cell; use: median/p90\n")
    print(f"{'':26}" + "".join(f"{c:>11}" for c in COLUMNS))
    for floor in FLOORS:
        every, total = [], 0
        for n in chapters(nbs, floors=[floor]):
            path = nbs/f"{n}.ipynb"
            cells, size = read_nb(path).cells, path.stat().st_size
            print(row(n, cells, size))
            every, total = every + [*cells], total + size
        if every: print(row(f"= {floor}", every, total) + (f"\n  aim: {AIMS[floor]}" if floor in AIMS else "") + "\n")


if __name__ == "__main__": main(*map(Path, sys.argv[1:]))
