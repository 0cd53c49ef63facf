"""Japanese notebooks and the state of their translation (nbs/_tools/translations.py describes the files).

`build` makes the notebooks from the English ones and the translated prose, `missing CHAPTER` prints what is left to
translate in the file's own format, `stamp [CHAPTER ...]` notes that a translation fits today's English text, and `status`
lists all chapters. The exit status is 0, or 1 if a translation has a fault."""
import argparse, os, re, sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT/"nbs"/"_tools")]

from fastcore.nbio import nb2str  # noqa: E402
import make_readme, translations  # noqa: E402
from run_chapters import chapters, choose  # noqa: E402


def course(root): return chapters(root/"nbs", floors=["course"])


def anchors(root, name):
    "English anchor → Japanese anchor of the headings of a notebook."
    english, tr = translations.prose(root, name), translations.load(root, name) or translations.Translation()
    pairs = [(e, j) for i, (_, t) in tr.cells.items() for e, j in zip(translations.headings(english.get(i, "")), translations.headings(t))]
    return {translations.anchor(re.sub("[`*]", "", e)): translations.anchor(re.sub("[`*]", "", j)) for e, j in pairs}


def relinked(text, root, out, name, made):
    "The text with its links as they must be in the folder `out`: to the Japanese notebooks there, and to the others in nbs/."
    def there(m):
        if re.match(r"[a-zA-Z][\w+.-]*:", m[2]): return m[0]
        path, _, anchor = unquote(m[2]).partition("#")
        other = os.path.normpath(path).removesuffix(".ipynb") if path else name
        if other in made: anchor = anchors(root, other).get(anchor, anchor)
        elif path: path = os.path.relpath(root/"nbs"/path, out)
        return m[1] + path + (f"#{anchor}" if anchor else "")
    return re.sub(r"(\]\()([^)\s]+)", there, text)


def build(root, out):
    "Write the Japanese notebooks of all chapters that somebody has begun to translate."
    cfg, made = make_readme.settings(root), {n for n in course(root) if translations.load(root, n)}
    out.mkdir(parents=True, exist_ok=True)
    for n in sorted(made):
        nb = translations.translated(root, cfg, make_readme.filled(root, cfg, root/"nbs"/f"{n}.ipynb"), n)
        for c in nb.cells:
            if c.cell_type == "markdown": c.source = relinked(c.source, root, out.resolve(), n, made)
            for k in ("lang", "english"): c.metadata.pop(k, None)
        (out/f"{n}.ipynb").write_text(nb2str(nb), encoding="utf-8")
    print(f"{len(made)} notebooks in {out}; not translated: {', '.join(n for n in course(root) if n not in made) or 'none'}")


def missing(root, name):
    "What is left to translate, in the format of the translation's file."
    english, tr = translations.prose(root, name), translations.load(root, name) or translations.Translation()
    left = {i: (translations.sha(t), translations.bare(t)) for i, t in english.items() if i not in tr.cells}
    return str(translations.Translation(cells=left))


def stamp(root, name):
    "Write today's hashes into a translation's file, with its cells in the notebook's order; returns the changed cells."
    english, tr = translations.prose(root, name), translations.load(root, name)
    new = {i: (translations.sha(english[i]), tr.cells[i][1]) for i in english if i in tr.cells}
    changed = [i for i in new if new[i][0] != tr.cells[i][0]]
    lost = {i: tr.cells[i] for i in tr.cells if i not in english}  # Kept at the end, for the translator to move or remove
    translations.place(root, name).write_text(str(translations.Translation(tr.complete, new | lost)), encoding="utf-8")
    return changed


def status(root):
    "Print each chapter's state; returns the number of faults."
    total = 0
    for n in course(root):
        english, tr = translations.prose(root, n), translations.load(root, n)
        faults = list(translations.faults(english, tr)) if tr else []
        total += len(faults)
        done = sum(i in english for i in tr.cells) if tr else 0
        print(f"{n:14} {done:3} of {len(english):3} cells{', complete' if tr and tr.complete else ''}")
        for f in faults: print(f"    {f}")
    return total


def main(argv=None):
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("what", choices=["build", "missing", "stamp", "status"])
    a.add_argument("chapters", nargs="*", help="for example 05_model, or 05; stamp: all, if none is named")
    a.add_argument("--out", type=Path, default=ROOT/"runs"/"ja", help="folder for the notebooks")
    a.add_argument("--root", type=Path, default=ROOT, help="the checkout")
    a = a.parse_args(argv)
    names = choose(course(a.root), a.chapters)
    if a.what == "build": build(a.root, a.out)
    elif a.what == "status": return 1 if status(a.root) else 0
    elif a.what == "missing":
        if not names: raise SystemExit("Name a chapter: ja.py missing 05_model")
        for n in names: print(missing(a.root, n), end="")
    else:
        for n in names or [n for n in course(a.root) if translations.load(a.root, n)]:
            if translations.load(a.root, n): print(f"{n}: stamped {', '.join(stamp(a.root, n)) or 'nothing new'}")
            else: raise SystemExit(f"{n} has no translation: begin with `ja.py missing {n} > {translations.place(a.root, n)}`.")


if __name__ == "__main__": sys.exit(main())
