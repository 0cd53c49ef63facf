"""README.md from nbs/index.ipynb; badges, install lines and addresses everywhere from settings.ini. `make export` calls this.

`--check` changes nothing and exits with status 1 when something is out of step."""
import argparse, base64, html, json, os, re, sys
from configparser import ConfigParser
from pathlib import Path, PurePosixPath

from fastcore.nbio import nb2str, read_nb

ROOT = Path(__file__).resolve().parents[2]
COLAB = "https://colab.research.google.com"
SUFFIX = {"image/gif": "gif", "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
DATA_URI = re.compile(r"data:(image/\w+);base64,([A-Za-z0-9+/=\s]+)")


def settings(root):
    "What settings.ini says, read as setup.py reads it."
    cfg = ConfigParser(delimiters=["="], interpolation=None)
    cfg.read(root/"settings.ini", encoding="utf-8")
    return cfg["DEFAULT"]


def joined(x): return "".join(x) if isinstance(x, list) else x


# -- what settings.ini decides in every notebook ----------------------------------------------------------------------

def badge(cfg, rel):
    """The Colab badge of the notebook at `rel`, from the repository's top.

    HTML, since Markdown on a line that begins with a comment is not rendered."""
    url = f"{COLAB}/github/{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/{rel}"
    return f'<a href="{url}"><img src="{COLAB}/assets/colab-badge.svg" alt="Open in Colab"></a>'


def addressed(text, cfg, rel):
    "`text` with its badge, its install lines and its clone line as settings.ini has them."
    repo = f"https://github.com/{cfg['user']}/{cfg['repo']}"
    text = re.sub(r"(<!-- badge -->).*", lambda m: m[1] + badge(cfg, rel), text)
    text = re.sub(r"git\+https://github\.com/[\w.-]+/[\w.-]+@[\w./-]+", f"git+{repo}@{cfg['branch']}", text)
    return re.sub(r"git clone https://github\.com/[\w.-]+/[\w-]+(?:\.git)?", f"git clone {repo}", text)


def promise(path):
    "Title and one-line promise from a notebook's first markdown cell."
    src = next((c.source for c in read_nb(path).cells if c.cell_type == "markdown"), "")
    lines = [l.strip() for l in src.splitlines() if l.strip() and "<!-- badge -->" not in l]
    title = lines[0].lstrip("# ").strip() if lines and lines[0].startswith("# ") else path.stem
    return title, next((l.lstrip("> ").strip() for l in lines[1:] if not l.startswith(("#", "[!", "!["))), "")


def chapter_table(root, cfg):
    "A row a chapter; links are relative to nbs/."
    rows = ["| chapter | you will | Colab |", "|---|---|---|"]
    for p in sorted((root/"nbs").glob("*.ipynb")):
        if p.stem == "index": continue
        title, what = (s.replace("|", r"\|") for s in promise(p))
        rows.append(f"| [{p.stem.split('_')[0]} · {title}]({p.name}) | {what} | {badge(cfg, f'nbs/{p.name}')} |")
    return "\n".join(rows)


def filled(root, cfg, path):
    "The notebook's text as it should be, or None where nothing is to be changed."
    nb, rel = json.loads(path.read_text(encoding="utf-8")), path.relative_to(root).as_posix()
    changed = False
    for c in nb["cells"]:
        old = joined(c["source"])
        new = addressed(old, cfg, rel)
        if path.stem == "index" and c["cell_type"] == "markdown":
            new = re.sub(r"(<!-- chapters -->)\s*(?:\|.*(?:\n|$))*\s*", lambda m: f"{m[1]}\n\n{chapter_table(root, cfg)}\n\n", new).rstrip("\n")
        if new != old: c["source"], changed = new.splitlines(True), True
    return (nb2str(nb), nb) if changed else (None, nb)


# -- the README -------------------------------------------------------------------------------------------------------

def relinked(text):
    "Markdown written for nbs/ as it must be one folder up."
    def up(m):
        if re.match(r"[a-z]+:|#|/", m[2]): return m[0]
        return f"{m[1]}{os.path.normpath(PurePosixPath('nbs')/m[2]).replace(os.sep, '/')}{m[3]}"
    text = re.sub(r"(\]\()([^)\s]+)(\))", up, text)
    return re.sub(r'(<(?:img|a)[^>]*?(?:src|href)=")([^"]+)(")', up, text)


def fence(text, lang=""):
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{lang}\n{text.rstrip()}\n{ticks}"


class Images:
    "Pictures of the index, as files in nbs/images."
    def __init__(self): self.files = {}

    def add(self, mime, data, cell):
        name = f"nbs/images/index-{cell['id']}-{sum(cell['id'] in f for f in self.files)}.{SUFFIX[mime]}"
        self.files[name] = base64.b64decode(data)
        return name


def output(o, cell, images):
    "One stored output as Markdown."
    if o["output_type"] == "stream": return fence(joined(o["text"])) if o["name"] == "stdout" else ""
    data = {k: joined(v) for k, v in o.get("data", {}).items()}
    for mime in SUFFIX:
        if mime in data: return f"![{alt(cell)}]({images.add(mime, data[mime], cell)})"
    if "text/markdown" in data: return relinked(data["text/markdown"])
    if (h := data.get("text/html")) and not re.search(r"<script|<video|<iframe|<svg", h):
        h = re.sub(r"<style.*?</style>", "", h, flags=re.S)
        h = DATA_URI.sub(lambda m: images.add(m[1], m[2], cell), h)
        return re.sub(r"\n\s*", "\n", re.sub(r"\n\s*\n+", "\n", h)).strip()  # A blank line or deep indent would end the HTML block
    return fence(re.sub(r" at 0x[0-9a-fA-F]+", "", data["text/plain"])) if "text/plain" in data else ""


def alt(cell):
    "What a picture shows, for those who cannot see it: `#| fig-alt: ...`, else the cell's last line."
    d = directives(cell)
    last = joined(cell["source"]).strip().splitlines()[-1]
    return html.escape(d.get("fig-alt") or d.get("alt") or last, quote=False).replace("[", "(").replace("]", ")")


def directives(cell):
    pairs = re.findall(r"^#\|[ \t]*([\w-]+)[ \t]*:?[ \t]*(.*)$", joined(cell["source"]), flags=re.M)
    return {k: v.strip() for k, v in pairs}


def code_cell(cell, images):
    "A code cell's code and outputs, as its directives say."
    d = directives(cell)
    off = lambda k: d.get(k, "").lower() == "false"
    if "hide" in d or off("include"): return []
    src = "\n".join(l for l in joined(cell["source"]).splitlines() if not l.startswith("#|")).strip()
    out = []
    if src and not off("echo") and "hide_input" not in d:
        shell = src.startswith(("%%bash", "%%sh")) or all(l.startswith("!") for l in src.splitlines())
        if shell: src = "\n".join(l.removeprefix("!").strip() for l in src.splitlines() if not l.startswith("%%"))
        out.append(fence(src, "sh" if shell else "python"))
    if not off("output") and "hide_output" not in d: out += [output(o, cell, images) for o in cell.get("outputs", [])]
    return [o for o in out if o.strip()]


def readme(nb, cfg):
    "The README's text and its pictures, from the index as a dict."
    images, parts = Images(), []
    for c in nb["cells"]:
        if c["cell_type"] == "code": parts += code_cell(c, images)
        elif c["cell_type"] == "markdown" and (s := joined(c["source"]).strip()): parts.append(relinked(s))
    text = "\n\n".join(parts)
    for k in ("user", "repo", "branch", "lib_name"): text = text.replace(f"{{{k}}}", cfg[k])
    note = "<!-- Made from nbs/index.ipynb by nbs/_tools/make_readme.py: edit there. -->"
    return f"{note}\n\n{text}\n", images.files


# -- all files --------------------------------------------------------------------------------------------------------

def expected(root):
    "Every file that this tool answers for, with the bytes that it should hold; None: it should not be there."
    cfg, want, index = settings(root), {}, None
    nbs = root/"nbs"
    for p in sorted([*nbs.glob("*.ipynb"), *nbs.glob("solutions/*.ipynb")]):
        text, nb = filled(root, cfg, p)
        if text is not None: want[p] = text.encode()
        if p == nbs/"index.ipynb": index = nb
    toml = root/"pyproject.toml"
    if toml.exists():
        old = toml.read_text(encoding="utf-8")
        new = re.sub(r'^(git_url\s*=\s*)".*"', rf'\1"https://github.com/{cfg["user"]}/{cfg["repo"]}"', old, flags=re.M)
        want[toml] = re.sub(r'^(branch\s*=\s*)".*"', rf'\1"{cfg["branch"]}"', new, flags=re.M).encode()
    if index:
        text, images = readme(index, cfg)
        want[root/"README.md"] = text.encode()
        want |= {root/k: v for k, v in images.items()}
        want |= {p: None for p in (nbs/"images").glob("index-*") if p not in want}
    return want


def out_of_step(root):
    "The part of `expected` that is not so."
    return {p: b for p, b in expected(root).items() if (p.read_bytes() if p.exists() else None) != b}


def main(argv=None):
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--check", action="store_true", help="change nothing; exit status 1 if something is out of step")
    a.add_argument("--root", type=Path, default=ROOT, help="the checkout")
    a = a.parse_args(argv)
    todo = out_of_step(a.root)
    for p, b in todo.items():
        print(f"{'out of step' if a.check else 'removed' if b is None else 'wrote'}: {p.relative_to(a.root).as_posix()}")
        if a.check: continue
        if b is None: p.unlink()
        else:
            p.parent.mkdir(parents=True, exist_ok=True)
            tmp = p.with_name(f".{p.name}.{os.getpid()}")
            tmp.write_bytes(b); tmp.replace(p)
    return 1 if a.check and todo else 0


if __name__ == "__main__": sys.exit(main())
