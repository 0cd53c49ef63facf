"""The Japanese prose of the course: one Markdown file per notebook in nbs/_ja/translations, keyed by cell.

A file is a list of cells, each below a line `<!-- cell: ID sha: HASH -->`. The hash is that of the English source when the
cell was translated. A first line `<!-- complete -->` promises that every cell with text is there. Code, outputs and
pictures are those of the English notebook."""
import hashlib, re
from dataclasses import dataclass, field

from fastcore.nbio import read_nb

import make_readme

HEAD = re.compile(r"^<!-- cell: (\S+?)(?: sha: ([0-9a-f]{8}))? -->[ \t]*$", re.M)
COMPLETE = "<!-- complete -->"
HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.M)
FENCED = re.compile(r"^```.*?^```", re.M | re.S)


def bare(source):
    "A cell's text without what `make export` puts there: the badge's address and the rows of the tables."
    return make_readme.TABLES.sub(r"\1\n\n", re.sub(r"(<!-- badge -->).*", r"\1", source)).strip()


def sha(source): return hashlib.sha256(bare(source).encode()).hexdigest()[:8]
def headings(text): return HEADING.findall(FENCED.sub("", text))
def anchor(heading): return heading.strip().replace(" ", "-")  # As in Jupyter
def links(text):
    "Where the text links to; the two READMEs link to each other."
    return {l.replace("README.ja.md", "README.md") for l in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", text))}


@dataclass
class Translation:
    "A notebook's translated cells: id → (hash of the English source or None, text)."
    complete: bool = False
    cells: dict = field(default_factory=dict)

    def __str__(self):
        parts = [f"<!-- cell: {i}{f' sha: {h}' if h else ''} -->\n{t}\n" for i, (h, t) in self.cells.items()]
        return "\n".join([*[f"{COMPLETE}\n"]*self.complete, *parts])


def place(root, name): return root/"nbs"/"_ja"/"translations"/f"{name}.md"


def parse(text):
    "A translation from the text of its file."
    head, *parts = HEAD.split(text)
    cells = {i: (h, t.strip()) for i, h, t in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}
    if len(cells) < len(parts)//3: raise ValueError("a cell is translated twice")
    return Translation(COMPLETE in head, cells)


def load(root, name):
    "The translation of a notebook, or None if nobody has begun it."
    path = place(root, name)
    return parse(path.read_text(encoding="utf-8")) if path.exists() else None


def prose(root, name): return {c.id: c.source for c in read_nb(root/"nbs"/f"{name}.ipynb").cells if c.cell_type == "markdown"}


def faults(english, tr):
    "What is wrong with a translation, one sentence for each cell."
    for i, (h, t) in tr.cells.items():
        if i not in english: yield f"{i}: the notebook has no such cell"
        elif not t: yield f"{i}: is empty"
        elif h != sha(english[i]): yield f"{i}: the English text has changed since it was translated"
        elif len(headings(t)) != len(headings(english[i])): yield f"{i}: has other headings than the English text"
        elif links(bare(t)) != links(bare(english[i])): yield f"{i}: has other links than the English text"
    if tr.complete: yield from (f"{i}: is not translated" for i in english if i not in tr.cells)


def promise(root, path):
    "Title and promise of a notebook in Japanese, or in English if the first cell is not translated."
    name = path.relative_to(root/"nbs").with_suffix("").as_posix()
    if (tr := load(root, name)) and (first := next(iter(prose(root, name)), None)) in tr.cells:
        return make_readme.promised(tr.cells[first][1], path.stem)
    return make_readme.promise(path)


def translated(root, cfg, nb, name):
    "Put the Japanese text into the notebook; a cell that has it gets the metadata `lang: ja`."
    tr = load(root, name) or Translation()
    for c in nb.cells:
        text = tr.cells.get(c.id, (None, None))[1]
        if c.cell_type != "markdown" or not text: continue
        text = make_readme.addressed(text, cfg, f"nbs/{name}.ipynb")
        if name == "index": text = make_readme.tabled(text, root, cfg, "ja")
        c.source, c.metadata = text, {**c.metadata, "lang": "ja", "english": headings(c.source)}
    return nb
