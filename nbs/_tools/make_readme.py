"""Make README.md and its Japanese counterpart from nbs/index.ipynb, and update badges, install lines and addresses from settings.ini.

`make export` calls this. `--check` does not change anything, and exits with status 1 if something is out of date."""
import argparse, html, os, re, sys
from base64 import b64decode
from configparser import ConfigParser
from pathlib import Path

import nbformat
from fastcore.nbio import nb2str, read_nb
from nbconvert import MarkdownExporter

from run_chapters import chapters, joined  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
COLAB = "https://colab.research.google.com"
SUFFIX = {"image/gif": "gif", "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
URI = re.compile(r"data:(image/\w+);base64,([A-Za-z0-9+/=\s]+)")
TABLES = re.compile(r"(<!-- (chapters|synthetic|engine) -->)\s*(?:\|.*(?:\n|$))*\s*")
TEMPLATE = r"""{% extends 'base/display_priority.j2' %}
{% block markdowncell %}{{ "\n\n" ~ cell.source.strip() | relinked }}{% endblock %}
{% block input %}{{ cell.source | fence(cell.metadata.language) }}{% endblock %}
{% block stream_stdout %}{{ output.text | fence }}{% endblock %}
{% block execute_result %}{{ self.data_priority() }}{% endblock %}
{% block data_markdown %}{{ "\n\n" ~ output.data["text/markdown"] | relinked }}{% endblock %}
{% block data_text %}{{ output.data["text/plain"] | fence }}{% endblock %}"""


def settings(root):
    "The settings in settings.ini, read in the same way as in setup.py."
    cfg = ConfigParser(delimiters=["="], interpolation=None)
    cfg.read(root/"settings.ini", encoding="utf-8")
    return cfg["DEFAULT"]


def badge(cfg, rel):
    "The Colab badge of the notebook at `rel`; in HTML, as Markdown is not rendered after a comment."
    url = f"{COLAB}/github/{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/{rel}"
    return f'<a href="{url}"><img src="{COLAB}/assets/colab-badge.svg" alt="Open in Colab"></a>'


def addressed(text, cfg, rel):
    "`text` with the badge, install lines and clone line that follow from settings.ini."
    repo = f"https://github.com/{cfg['user']}/{cfg['repo']}"
    text = re.sub(r"(<!-- badge -->).*", lambda m: m[1] + badge(cfg, rel), text)
    text = re.sub(r"git\+https://github\.com/[\w.-]+/[\w.-]+@[\w./-]+", f"git+{repo}@{cfg['branch']}", text)
    return re.sub(r"git clone https://github\.com/[\w.-]+/[\w-]+(?:\.git)?", f"git clone {repo}", text)


def promise(path):
    "Title and one-line promise from a notebook's first markdown cell."
    return promised(next((c.source for c in read_nb(path).cells if c.cell_type == "markdown"), ""), path.stem)


def promised(src, stem):
    "Title and one-line promise from the text of a first cell; without a title, `stem`."
    lines = [l.strip() for l in src.splitlines() if l.strip() and "<!-- badge -->" not in l]
    title = lines[0].lstrip("# ").strip() if lines and lines[0].startswith("# ") else stem
    return title, next((l.lstrip("> ").strip() for l in lines[1:] if not l.startswith(("#", "[!", "!["))), "")


HEADS = {"en": ("chapter", "notebook", "you will"), "ja": ("章", "ノートブック", "内容")}


def table(root, cfg, floor, lang="en"):
    "A table with one row per notebook of a floor; links are relative to nbs/."
    import translations  # Imports this module
    chapter, notebook, does = HEADS[lang]
    rows = [f"| {chapter if floor == 'chapters' else notebook} | {does} | Colab |", "|---|---|---|"]
    for n in chapters(root/"nbs", floors=["course" if floor == "chapters" else floor]):
        if n == "index": continue
        path = root/"nbs"/f"{n}.ipynb"
        title, what = (s.replace("|", r"\|") for s in (promise(path) if lang == "en" else translations.promise(root, path)))
        label = f"{n[:2]} · {title}" if n[0].isdigit() else title
        rows.append(f"| [{label}]({n}.ipynb) | {what} | {badge(cfg, f'nbs/{n}.ipynb')} |")
    return "\n".join(rows)


def tabled(text, root, cfg, lang="en"):
    "The index's text with its tables of notebooks."
    return TABLES.sub(lambda m: f"{m[1]}\n\n{table(root, cfg, m[2], lang)}\n\n", text).rstrip("\n")


def filled(root, cfg, path):
    "The notebook with everything that follows from settings.ini."
    nb = read_nb(path)
    for c in nb.cells:
        c.source = addressed(c.source, cfg, path.relative_to(root).as_posix())
        if path.stem == "index" and "-->" in c.source:
            c.source = tabled(c.source, root, cfg)
    return nb


def relinked(text):
    "Markdown that was written for nbs/, with its links changed for the folder above."
    def up(m):
        return m[0] if re.match(r"[a-z]+:|#|/", m[2]) else m[1] + Path(os.path.normpath(f"nbs/{m[2]}")).as_posix()
    return re.sub(r"""(\]\(|<(?:img|a)[^>]*?(?:src|href)=["'])([^)\s"']+)""", up, text)


def fence(text, language=""): return f"\n\n```{language}\n{text.rstrip()}\n```" if text.strip() else ""


def shown(data, alt, save):
    "An output's `data` as Markdown or plain text; `save` writes a picture to a file and returns its name."
    for mime in data.keys() & SUFFIX.keys(): return {"text/markdown": f"![{alt}]({save(mime, data[mime])})"}
    if h := data.get("text/html"):
        h = URI.sub(lambda m: save(m[1], m[2]), re.sub(r"<style.*?</style>", "", h, flags=re.S))
        return {"text/markdown": re.sub(r"\n\s*", "\n", h).strip()}  # A blank line or an indent would end the HTML
    return {"text/plain": re.sub(" at 0x[0-9a-fA-F]+", "", data.get("text/plain", ""))}


def prepare(cell, d, images):
    "Prepare a cell for the template according to its directives `d`, and add its pictures to `images`."
    def save(mime, data):
        name = f"images/index-{cell.id}-{sum(cell.id in f for f in images)}.{SUFFIX[mime]}"
        images[name] = b64decode(data)
        return name
    if cell.cell_type != "code": return
    lines = [l for l in cell.source.strip().splitlines() if not l.startswith("#|")]
    alt = html.escape(d.get("fig-alt") or "".join(lines[-1:]), quote=False).replace("[", "(").replace("]", ")")
    cell.metadata.language = "sh" if all(l.startswith("!") for l in lines) else "python"
    cell.source = "" if d.get("echo") == "false" else "\n".join(l.removeprefix("!") for l in lines)
    cell.outputs = [] if d.get("output") == "false" else cell.outputs
    for o in cell.outputs:
        if "data" in o: o.data = shown(o.data, alt, save)


def readme(nb, cfg, made_from="nbs/index.ipynb"):
    "The text and the pictures of the README, made from the index."
    nb.cells, images = [c for c in nb.cells if "hide" not in c.directives], {}
    node = nbformat.reads(nb2str(nb), 4)
    for c, raw in zip(node.cells, nb.cells, strict=True): prepare(c, raw.directives, images)
    exporter = MarkdownExporter(raw_template=TEMPLATE, filters={"fence": fence, "relinked": relinked})
    text, _ = exporter.from_notebook_node(node)
    for k in ("user", "repo", "branch", "lib_name"): text = text.replace(f"{{{k}}}", cfg[k])
    return f"<!-- Made from {made_from} by nbs/_tools/make_readme.py: edit there. -->\n\n{text.strip()}\n", images


def readme_ja(root, cfg):
    "README.ja.md, if the index is translated."
    import translations  # Imports this module
    if not translations.place(root, "index").exists(): return {root/"README.ja.md": None}
    nb = translations.translated(root, cfg, filled(root, cfg, root/"nbs"/"index.ipynb"), "index")
    return {root/"README.ja.md": readme(nb, cfg, "nbs/_ja/translations/index.md")[0].encode()}


def expected(root):
    "Every file that this tool manages, with the bytes that it should contain; None: it should not exist."
    cfg, nbs, toml = settings(root), root/"nbs", root/"pyproject.toml"
    want = {p: None for p in (nbs/"images").glob("index-*")}
    for path in (nbs/f"{n}.ipynb" for n in chapters(nbs, solutions=True)):
        nb = filled(root, cfg, path)
        if nb2str(nb) != nb2str(read_nb(path)): want[path] = nb2str(nb).encode()
    text, images = readme(filled(root, cfg, nbs/"index.ipynb"), cfg)
    want |= readme_ja(root, cfg)
    new = toml.read_text(encoding="utf-8")
    for k, v in dict(git_url=f"https://github.com/{cfg['user']}/{cfg['repo']}", branch=cfg["branch"]).items():
        new = re.sub(rf'^({k}\s*=\s*)".*"', rf'\1"{v}"', new, flags=re.M)
    return want | {nbs/k: v for k, v in images.items()} | {root/"README.md": text.encode(), toml: new.encode()}


def main(argv=None):
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--check", action="store_true", help="change nothing; exit status 1 if something is out of date")
    a.add_argument("--root", type=Path, default=ROOT, help="the checkout")
    a = a.parse_args(argv)
    todo = {p: b for p, b in expected(a.root).items() if (p.read_bytes() if p.exists() else None) != b}
    for p, b in todo.items():
        said = "out of date" if a.check else "removed" if b is None else "wrote"
        print(f"{said}: {p.relative_to(a.root).as_posix()}")
        if a.check: continue
        p.parent.mkdir(parents=True, exist_ok=True)
        if b is None: p.unlink()
        else: p.write_bytes(b)
    return 1 if a.check and todo else 0


if __name__ == "__main__": sys.exit(main())
