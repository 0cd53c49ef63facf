"""Run the notebooks in reading order, each in its own Jupyter kernel, for `make tutorial` and `make outputs`.

Executed copies, the trained model and `result.json` are written to `--out`. A second run reuses every notebook whose
code, package, recipe and predecessors are unchanged. Progress goes to stderr and the summary to stdout. The exit status
is 0, 1 (a notebook failed) or 2 (wrong usage)."""
import argparse, hashlib, json, os, re, socket, sys, tempfile, time
from importlib import metadata
from pathlib import Path

import nbformat
from fastcore.nbio import does_cell_eval, nb2str, read_nb
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbdev.clean import clean_nb
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
FLOORS = dict(course=("[0-9]*.ipynb", "index.ipynb"), synthetic=("synthetic/*.ipynb",), engine=("engine/*.ipynb",),
              solutions=("solutions/**/*.ipynb",))  # In reading order
MAX_BYTES = 2**20  # Largest size of a stored notebook
BINARY = ("image/png", "image/jpeg", "image/gif", "video/", "audio/", "application/pdf")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BAR = re.compile(r"\d+%\|.*\|\s*[\d.]+\w*/|\d+(?:it|clip)? \[\d\d:\d\d, |\|[ █-▏]*\|\s*\d+% [\d:]+<")  # tqdm's, and ours
DATA_URI = re.compile(r"(data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+)")
LOCAL_FRAME = re.compile(r"<iframe[^>]*//(?:127\.0\.0\.1|localhost)\b")  # A page that this machine served, often with a token in its address
ABSOLUTE = re.compile(r"(?<![\w.:/~<-])/(?:home|root|Users|tmp|private|var|opt|mnt|media|srv|content|usr|work|workspace|builds|github)/[\w.~-]+"
                      r"|\b[A-Za-z]:\\\\?\w+")


# -- which notebooks --------------------------------------------------------------------------------------------------

def chapters(nbs, solutions=False, floors=("course", "synthetic", "engine")):
    "Names of the notebooks without `.ipynb`, in reading order: by floor and name, with `index` after the course."
    patterns = [g for f in [*floors, *["solutions"]*solutions] for g in FLOORS[f]]
    found = [p.relative_to(nbs) for g in patterns for p in sorted(nbs.glob(g))]
    return [p.with_suffix("").as_posix() for p in found if not any(x.startswith((".", "_")) for x in p.parts)]


def choose(names, wanted):
    "The notebooks that the command line names; `05`, `05_model` and `nbs/05_model.ipynb` all mean the same."
    out = []
    for w in wanted:
        w = w.removesuffix(".ipynb")
        hits = [n for n in names if n == w.removeprefix("./").removeprefix("nbs/")]
        hits = hits or [n for n in names if n.startswith(w)]
        if not hits: raise SystemExit(f"No notebook is called {w!r}. There are: {', '.join(names)}")
        out += hits
    return [n for n in names if n in out]


# -- running one notebook ---------------------------------------------------------------------------------------------

class Kernel(AsyncKernelManager):
    "A kernel that runs the interpreter `python`, whatever kernels are installed."
    python = sys.executable
    @property
    def kernel_spec(self):
        return KernelSpec(argv=[str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"])


class Client(NotebookClient):
    "A client that passes the latest line that a cell prints, or the steps of `Trainer`'s progress bar, to `live`."
    live = None
    def process_message(self, msg, cell, cell_index):
        steps = re.findall(r"\[\s*\d+/\d+[^\]]*\]", msg["content"].get("data", {}).get("text/html", ""))
        lines = re.findall(r"[^\r\n]*\S[^\r\n]*", ANSI.sub("", msg["content"].get("text") or " ".join(steps)))
        if self.live and lines: self.live(lines[-1].strip())
        return super().process_message(msg, cell, cell_index)


def load(path):
    "The notebook, and for each cell whether it will run; `#| eval: false` cells keep their stored outputs."
    nb, will = nbformat.read(path, as_version=4), []
    for c, src in zip(nb.cells, read_nb(path).cells, strict=True):
        will.append(c.cell_type == "code" and bool(c.source.strip()) and does_cell_eval(src, True))
        if will[-1]: c.outputs = []
        elif c.cell_type == "code": c.metadata["tags"] = ["skip-execution"]
    return nb, will


def execute(nb, cwd, env, python=sys.executable, on_cell=None, live=None, timeout=None):
    "Run `nb` in place in a fresh kernel of `python`."
    with tempfile.TemporaryDirectory(prefix="vidcls-") as tmp:
        # The user's profiles and start-up files are neither used nor changed
        env = {**env, "IPYTHONDIR": f"{tmp}/ipython", "JUPYTER_RUNTIME_DIR": tmp, "JUPYTER_CONFIG_DIR": f"{tmp}/config"}
        env.pop("MPLBACKEND", None)  # The kernel sets its own, so that pictures go into the notebook
        km = Kernel(connection_file=f"{tmp}/kernel.json", transport="ipc" if sys.platform == "linux" else "tcp")
        km.python = python
        client = Client(nb, timeout=timeout, resources={"metadata": {"path": str(cwd)}}, on_cell_execute=on_cell)
        client.create_kernel_manager, client.live = lambda: km, live  # Made by the client, which then also stops it
        client.execute(env=env)
    return nb


def environment(recipe, home):
    "The environment variables of a notebook's process."
    env = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}  # As in the Makefile
    env |= {"VIDCLS_RECIPE": recipe, "VIDCLS_HOME": str(home)}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"  # `!vidcls` must run this installation's
    if recipe in ("stick", "smoke"): env.setdefault("HF_HUB_OFFLINE", "1")  # These recipes work without a network
    return env


def run_chapter(path, env, label):
    "Execute one notebook with a progress bar over its cells; returns it, which cells ran, and the error or None."
    nb, will = load(path)
    with tqdm(total=sum(will), desc=label, unit="cell", leave=False, disable=None, dynamic_ncols=True, file=sys.stderr,
              bar_format="{desc} |{bar:20}| {n}/{total} cells, {elapsed}{postfix}") as bar:
        def live(line): bar.set_postfix_str(line[:60])
        def on_cell(cell, cell_index):
            bar.n = sum(will[:cell_index])
            live(next((l.strip() for l in cell.source.splitlines() if l.strip() and not l.startswith("#|")), ""))
        try: execute(nb, path.parent, env, on_cell=on_cell, live=live)
        except (CellExecutionError, DeadKernelError) as e: return nb, will, e
    return nb, will, None


def explain(name, nb, err):
    "A description of where a notebook failed, with the source of the cell and the error."
    code = [c for c in nb.cells if c.cell_type == "code"]
    for i, c in enumerate(code, 1):
        if not (e := next((o for o in c.outputs if o.output_type == "error"), None)): continue
        src, tb = "\n".join(f"  {i:3} | {l}" for i, l in enumerate(c.source.splitlines(), 1)), "\n".join(e.traceback)
        if not sys.stderr.isatty(): tb = ANSI.sub("", tb)
        return f"{name} failed in code cell {i} of {len(code)} (id {c.id}):\n\n{src}\n\n{tb.rstrip()}"
    return f"{name} failed: {err}"


# -- clean outputs ----------------------------------------------------------------------------------------------------

def joined(x): return "".join(x) if isinstance(x, list) else x


def rubout(text):
    "The text as a terminal would show it in the end, without colours and progress bars."
    lines = [l.rstrip("\r").rsplit("\r", 1)[-1] for l in ANSI.sub("", text).split("\n")]
    return "\n".join(l for l in lines if not BAR.search(l))


def no_bar(html):
    "`Trainer`'s table without its progress bar."
    return re.sub(r"<div>\s*<progress.*?</progress>.*?</div>", "", html, flags=re.S)


def replacements(root, home):
    "The folders of this machine, longest first, with the text that a reader sees instead."
    import site
    pairs = {str(home): "runs", f"{root}/": "", str(root): ".", str(Path.home()): "~", **{p: "site-packages" for p in site.getsitepackages()}}
    return [(re.compile(rf"(?<![\w./-]){re.escape(k)}" + ("" if k.endswith("/") else r"(?![\w-])")), v)
            for k, v in sorted(pairs.items(), key=lambda o: -len(o[0])) if len(k) > 1]


def neutral(text, swaps):
    "`text` without the folders of this machine; pictures inside HTML are not changed."
    parts = DATA_URI.split(text)
    for i in range(0, len(parts), 2):
        for pat, new in [*swaps, (re.compile(re.escape(tempfile.gettempdir()) + r"/tmp\w+"), "tmp")]: parts[i] = pat.sub(new, parts[i])
    return "".join(parts)


def merged(outputs):
    "The outputs with neighbouring pieces of one stream put together, because a bar is redrawn across the pieces."
    out = []
    for o in outputs:
        same = out and o["output_type"] == "stream" == out[-1]["output_type"] and o["name"] == out[-1]["name"]
        if same: out[-1] = {**o, "text": joined(out[-1]["text"]) + joined(o["text"])}
        else: out.append(o)
    return out


def tidy(outputs, swaps=()):
    "Outputs that can be stored: without stderr, progress bars, widgets, execution counts and this machine's folders."
    out = []
    for o in merged(outputs):
        if o["output_type"] == "stream":
            text = neutral(rubout(joined(o["text"])), swaps)
            if o["name"] == "stderr" or not text.strip(): continue
            if out and out[-1]["output_type"] == "stream": text = joined(out.pop()["text"]) + text
            o = {**o, "text": text.splitlines(True)}
        elif o["output_type"] in ("display_data", "execute_result"):
            data = {k: joined(v) for k, v in o["data"].items()}
            if any("jupyter.widget" in k for k in data): continue
            if LOCAL_FRAME.search(data.get("text/html", "")): continue
            if "<progress" in data.get("text/html", ""):
                data["text/html"] = no_bar(data["text/html"])
                if not re.sub(r"<[^>]*>|\s", "", data["text/html"]): continue
            for k, v in data.items():  # Text as Jupyter saves it: a list of lines
                if k.startswith(BINARY) or not isinstance(v, str): continue
                data[k] = neutral(ANSI.sub("", v), swaps).splitlines(True)
            o = {**o, "data": data, "metadata": {}, **({"execution_count": None} if "execution_count" in o else {})}
        out.append(o)
    return out


def texts(outputs):
    "Every piece of text in `outputs`, without the pictures."
    for o in outputs:
        for v in [o.get("text"), *o.get("traceback", []), *(v for k, v in o.get("data", {}).items() if not k.startswith(BINARY))]:
            if v: yield DATA_URI.sub("", joined(v) if isinstance(v, (str, list)) else json.dumps(v))


def complaints(nb):
    "One sentence per thing that must not be stored in the notebook `nb` (a dict), with the name of the cell."
    host, out = socket.gethostname(), []
    for i, c in enumerate(nb["cells"]):
        for text in texts(c.get("outputs", [])):
            bad = [m.group() for m in ABSOLUTE.finditer(text)] + ([host] if len(host) > 5 and host in text else [])
            if bad: out.append(f"cell {i} (id {c['id']}) stores {bad[0]!r}; print a path relative to its folder instead")
    size = len(nb2str(nb).encode())
    if size > MAX_BYTES:
        sizes = sorted(((len(json.dumps(c.get("outputs", []))), i, c["id"]) for i, c in enumerate(nb["cells"])), reverse=True)
        out.append(f"{size/2**20:.2f} MB is more than 1 MB; largest outputs: "
                   + ", ".join(f"cell {i} (id {d}) {n//1024} KB" for n, i, d in sizes[:3]))
    return out


def read(path): return json.loads(path.read_text(encoding="utf-8"))
def code_cells(nb): return [c for c in nb["cells"] if c["cell_type"] == "code"]


def stored(nb, outputs):
    "The notebook `nb` (a dict) with `outputs` (a list per code cell; None keeps what is stored), in nbdev's clean form."
    for c, o in zip(code_cells(nb), outputs, strict=True):
        if o is not None: c["outputs"] = o
    clean_nb(nb)
    return nb


def write(nb, path):
    "Write the notebook completely or not at all."
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.getpid()}")
    tmp.write_text(nb2str(nb), encoding="utf-8")
    tmp.replace(path)


# -- which notebooks need not run again -------------------------------------------------------------------------------

def keys(nbs, names, recipe, home):
    "A hash per notebook of everything that affects its outputs: package, recipe, and its code and all code before it."
    pkg, versions = nbs.parent/"vidcls", [metadata.version(p) for p in ("torch", "transformers")]
    h = hashlib.sha256(json.dumps([recipe, str(home), sys.version_info[:2], versions]).encode())
    for p in sorted(p for p in pkg.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        h.update(f"\0{p.relative_to(pkg)}\0".encode() + p.read_bytes())
    out = {}
    for n in names:
        h.update("\0".join([n, *(c.source for c in read_nb(nbs/f"{n}.ipynb").cells if c.cell_type == "code")]).encode())
        out[n] = h.hexdigest()[:16]
    return out


def made_since(out, start):
    "The files and folders in `out` that are new or have changed since `start`, except executed notebooks."
    def newest(p): return max(q.stat().st_mtime for q in [p, *p.rglob("*")] if q.exists())
    made = [p for p in out.iterdir() if p.suffix != ".ipynb" and p.name not in ("ran.json", *FLOORS)]
    return sorted(p.name for p in made if newest(p) >= start)


def reuse(src, dst, out, old, key):
    "Whether the executed copy `dst` is still valid; if so, it gets the current text of the source."
    if old.get("key") != key or not dst.exists() or not all((out/m).exists() for m in old["made"]): return False
    write(stored(read(src), [c["outputs"] for c in code_cells(read(dst))]), dst)
    return True


# -- the whole run ----------------------------------------------------------------------------------------------------

def say(*a, **kw): print(*a, file=sys.stderr, flush=True, **kw)


def run_one(src, dst, a, label):
    "Run one notebook and write it to `dst`; returns its entry in the record, or None if it failed."
    failed, start, source = dst.with_name(f"{dst.stem}.failed.ipynb"), time.time(), read(src)
    if not sys.stderr.isatty(): say(f"{label}  ...")
    nb, will, err = run_chapter(src, environment(a.recipe, a.home), label)
    secs, executed = time.time() - start, json.loads(nbformat.writes(nb))
    if err is not None:
        write(executed, failed)
        say(f"{label}  {secs:6.1f} s  FAILED\n\n{explain(src.stem, nb, err)}\n")
        say(f"The notebook up to the error: {failed}")
        return None
    failed.unlink(missing_ok=True)
    swaps, ran = replacements(a.nbs.parent, a.home), [w for c, w in zip(nb.cells, will) if c.cell_type == "code"]
    write(stored(source, [tidy(c["outputs"], swaps) if r else None for c, r in zip(code_cells(executed), ran)]), dst)
    say(f"{label}  {secs:6.1f} s  {sum(will)} cells")
    return dict(seconds=round(secs, 1), cells=sum(will), made=made_since(a.out, start))


def store(nbs, out, names):
    "Write the outputs back into the notebooks, all or none; returns whether that was possible."
    new, bad = {}, []
    for n in names:
        src, done = read(nbs/f"{n}.ipynb"), read(out/f"{n}.ipynb")
        bad += [f"  {n}: {b}" for b in complaints(done)]
        if [c["source"] for c in code_cells(src)] != [c["source"] for c in code_cells(done)]:
            bad.append(f"  {n}: its code changed while it ran")
        else: new[nbs/f"{n}.ipynb"] = stored(src, [c["outputs"] for c in code_cells(done)])
    if bad: say("Nothing was stored:", *bad, sep="\n")
    else:
        for p, nb in new.items(): write(nb, p)
        say(f"Stored the outputs of {len(names)} notebooks in {nbs}.")
    return not bad


def summary(a):
    "Print where the results are, the main numbers, and how to run the notebooks that were left out."
    def show(p): return os.path.relpath(p) if Path(p).is_relative_to(Path.cwd()) else str(p)
    print(f"\nResults:\n  {show(a.out)}/*.ipynb   the executed notebooks")
    places = (a.out, a.home/"tutorial")
    if model := next((d/"model" for d in places if (d/"model").is_dir()), None):
        print(f"  {show(model)}   the fine-tuned model")
    if res := next((d/"result.json" for d in places if (d/"result.json").is_file()), None):
        r = read(res)
        print(f"  {show(res)}   the numbers:")
        forms = dict(recipe="", videos="", clip_accuracy=".3f", video_accuracy=".3f", seconds=".0f")
        print(*(f"    {k.replace('_', ' '):15} {r[k]:{f}}" for k, f in forms.items() if k in r), sep="\n")
    if not a.chapters and (left := len(a.every) - len(a.names)):
        print(f"\nThe other {left} notebook{'s'*(left > 1)}, with the machinery and the worked answers: make tutorial ALL=1")


def arguments(argv):
    "Parse and check the command line."
    p = argparse.ArgumentParser(description="Run the notebooks in reading order.")
    p.add_argument("chapters", nargs="*", help="names or numbers of notebooks; default: the whole course")
    p.add_argument("--recipe", default="stick", help="stick (default), smoke or ucf101")
    p.add_argument("--out", type=Path, default=ROOT/"runs"/"tutorial", help="folder for the executed copies")
    p.add_argument("--store", action="store_true", help="write the outputs back into the notebooks")
    p.add_argument("--solutions", action="store_true", help="also run the worked answers")
    p.add_argument("--all", action="store_true", help="run all notebooks: course, synthetic, engine and solutions")
    p.add_argument("--force", action="store_true", help="also run notebooks that are up to date")
    p.add_argument("--nbs", type=Path, default=ROOT/"nbs", help="folder with the notebooks")
    a = p.parse_args(argv)
    try:
        from vidcls.engine.recipes import RECIPES
        if a.recipe not in RECIPES: p.error(f"no recipe is called {a.recipe!r}: choose one of {', '.join(RECIPES)}")
    except ImportError: pass  # The first chapter reports it
    a.nbs, a.out = a.nbs.resolve(), a.out.resolve()
    a.home = Path(os.environ.get("VIDCLS_HOME") or a.out.parent).expanduser().resolve()
    a.every = chapters(a.nbs, solutions=True)
    a.names = a.every if a.all else chapters(a.nbs, a.solutions, floors=["course"])
    try: a.names = choose(a.every, a.chapters) if a.chapters else a.names
    except SystemExit as e: p.error(str(e))
    if not a.names: p.error(f"there is no notebook in {a.nbs}")
    return a


def main(argv=None):
    a = arguments(argv)
    a.out.mkdir(parents=True, exist_ok=True)
    record = a.out/"ran.json"
    state = read(record) if record.exists() else {}
    key, wide = keys(a.nbs, a.every, a.recipe, a.home), max(map(len, a.names))
    say(f"Running {len(a.names)} notebook{'s'*(len(a.names) > 1)} with the recipe {a.recipe!r}.")
    for i, n in enumerate(a.names, 1):
        src, dst, label = a.nbs/f"{n}.ipynb", a.out/f"{n}.ipynb", f"[{i}/{len(a.names)}] {n:{wide}}"
        if not a.force and reuse(src, dst, a.out, state.get(n, {}), key[n]):
            say(f"{label}  unchanged, reused ({state[n]['seconds']:.0f} s when it ran)")
            continue
        if (ran := run_one(src, dst, a, label)) is None: return 1
        state[n] = dict(key=key[n], **ran)
        record.write_text(json.dumps(state, indent=1))
    if a.store and not store(a.nbs, a.out, a.names): return 1
    summary(a)
    return 0


if __name__ == "__main__":
    try: sys.exit(main())
    except KeyboardInterrupt: sys.exit(130)
