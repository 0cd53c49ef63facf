"The notebooks' tools, on small notebooks made here."
import ast, json, os, re, shutil, socket, sys
from pathlib import Path

import pytest
from nbdev.clean import clean_nb

import make_readme, nbtest, run_chapters, stats
from nbtest import NBS, ROOT

PIXEL = "R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="  # A GIF of one pixel


def notebook(path, *cells):
    "A notebook of the cells: Markdown where the text begins with `#` or `md:`, else code; a tuple is code with its outputs."
    out = []
    for i, c in enumerate(cells):
        src, outputs = c if isinstance(c, tuple) else (c, [])
        md = src.startswith(("# ", "md:"))
        cell = dict(cell_type="markdown" if md else "code", id=f"cell{i}", metadata={}, source=src.removeprefix("md:").splitlines(True))
        out.append(cell if md else cell | dict(execution_count=None, outputs=outputs))
    nb = dict(cells=out, metadata=dict(kernelspec=dict(display_name="python3", language="python", name="python3")), nbformat=4, nbformat_minor=5)
    path.parent.mkdir(parents=True, exist_ok=True)
    run_chapters.write(nb, path)
    return path


def stream(text, name="stdout"): return dict(output_type="stream", name=name, text=text)
def shown(**data): return dict(output_type="display_data", data={k.replace("_", "/"): v for k, v in data.items()}, metadata={})
def saved(path): return [c.get("outputs") for c in json.loads(path.read_text())["cells"]]


# -- run_chapters: outputs --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("raw, clean", [
    ("plain\n", "plain\n"), ("a\rb\rc\n", "c\n"), ("\x1b[31mred\x1b[0m\n", "red\n"),
    ("  0%|          | 0/3\r100%|██████████| 3/3 [00:00<00:00, 9.9it/s]\nafter\n", "after\n"),
    ("unpacking x: 100%|██████████| 40/40 [00:00<00:00, 812.4file/s]\n", ""), ("45 % | of 3/4\n", "45 % | of 3/4\n")])
def test_rubout(raw, clean): assert run_chapters.rubout(raw) == clean


def test_tidy():
    table = "<div>\n <progress value='2' max='2'></progress>\n [2/2 00:00]\n</div>\n<table><tr><td>1</td></tr></table>"
    raw = [stream("one\n"), stream("noise\n", "stderr"), stream("two\n"), shown(text_html=table), shown(text_html=table.split("\n<table")[0]),
           dict(output_type="display_data", metadata={}, data={"application/vnd.jupyter.widget-view+json": {}, "text/plain": "HBox()"}),
           dict(output_type="execute_result", execution_count=3, metadata={"x": 1}, data={"text/plain": "1\n2", "image/gif": PIXEL})]
    out = run_chapters.tidy(raw)
    assert [o["output_type"] for o in out] == ["stream", "display_data", "execute_result"]
    assert out[0]["text"] == ["one\n", "two\n"]
    assert "".join(out[1]["data"]["text/html"]).strip() == "<table><tr><td>1</td></tr></table>"
    assert out[2] == dict(output_type="execute_result", execution_count=None, metadata={}, data={"text/plain": ["1\n", "2"], "image/gif": PIXEL})


def test_tidy_removes_a_page_that_this_machine_served():
    "trackio shows one, with a token in its address."
    page = '<div><iframe src="http://127.0.0.1:7860?project=a&write_token=b" width="100%"></iframe></div>'
    raw = [dict(output_type="display_data", data={"text/html": page, "text/plain": "<IPython.core.display.HTML object>"}, metadata={})]
    assert run_chapters.tidy(raw) == []


def test_tidy_removes_a_bar_that_comes_in_pieces():
    "As `!vidcls finetune` sends it, through a terminal."
    bar = "epoch 1/2 |{}| {}% 00:0{}<00:0{}"
    raw = [stream("\r" + bar.format("   ", "  0", 0, 9)), stream("\r" + bar.format("█▌ ", " 50", 1, 1) + "\r        \repoch 1/2, loss 0.6\r\n\r"),
           stream(bar.format("▌", " 50", 1, 1)), stream("\r        \rdone\r\n")]
    assert "".join(run_chapters.tidy(raw)[0]["text"]) == "epoch 1/2, loss 0.6\ndone\n"
    assert run_chapters.rubout(bar.format("▌  ", " 17", 1, 5) + "\nafter\n") == "after\n"  # A process that was stopped leaves its bar


def test_folders_of_the_machine():
    swaps = run_chapters.replacements(Path("/some/checkout"), Path("/some/checkout/runs"))
    picture = "<img src='data:image/gif;base64,/some/checkout/x'>"
    for raw, want in {"/some/checkout/runs/data": "runs/data", "('/some/checkout/nbs/a.py')": "('nbs/a.py')", "/some/checkout": ".",
                      "/some/checkouts": "/some/checkouts", f"{Path.home()}/x": "~/x", "https://a.org/some/checkout": "https://a.org/some/checkout",
                      picture: picture}.items():
        assert run_chapters.neutral(raw, swaps) == want


@pytest.mark.parametrize("text, fit", [("/ho" + "me/ann/x", False), ("'/tm" + "p/x'", False), ("C:\\\\Users\\\\ann", False), ("https://a.org/home/x", True),
                                       ("runs/data", True), ("a </usr/x> 3 / 4", True), ("3/usr/4", True), (f"on {socket.gethostname()*3}", len(socket.gethostname()) < 6)])
def test_complaints(tmp_path, text, fit):
    path = notebook(tmp_path/"a.ipynb", "# A", ("1", [stream(text)]))
    assert (run_chapters.complaints(json.loads(path.read_text())) == []) == fit


def test_too_large(tmp_path):
    path = notebook(tmp_path/"a.ipynb", ("1", [stream("x"*2**20)]))
    assert "cell 0 (id cell0) 1024 KB" in run_chapters.complaints(json.loads(path.read_text()))[0]


# -- run_chapters: running --------------------------------------------------------------------------------------------

COUNT = "from pathlib import Path; import os; p = Path(os.environ['VIDCLS_HOME'])/'tutorial'/'{0}'; p.mkdir(exist_ok=True); (p/'n').open('a').write('x');"


def test_order(tmp_path):
    for n in ("index", "90_b", "00_a", "10_c", "07_d"): notebook(tmp_path/f"{n}.ipynb", "# A")
    notebook(tmp_path/"solutions"/"00_a.ipynb", "# A")
    notebook(tmp_path/".ipynb_checkpoints"/"00_a-checkpoint.ipynb", "# A")
    assert run_chapters.chapters(tmp_path) == ["00_a", "07_d", "10_c", "90_b", "index"]
    assert run_chapters.chapters(tmp_path, True)[-1] == "solutions/00_a"
    names = run_chapters.chapters(tmp_path)
    assert run_chapters.choose(names, ["nbs/10_c.ipynb", "00"]) == ["00_a", "10_c"]
    with pytest.raises(SystemExit): run_chapters.choose(names, ["11"])


def test_order_of_floors(tmp_path):
    "The course, then what is generated, then the machinery, each by name; the worked answers last."
    names = ["00_a", "index", "synthetic/moves", "synthetic/stick", "engine/cache", "engine/cli", "solutions/00_a", "solutions/engine/cli"]
    for n in names: notebook(tmp_path/f"{n}.ipynb", "# A")
    assert run_chapters.chapters(tmp_path, solutions=True) == names and run_chapters.chapters(tmp_path) == names[:6]
    assert run_chapters.chapters(tmp_path, floors=["course"]) == names[:2] and run_chapters.chapters(tmp_path, floors=["engine"]) == names[4:6]
    assert run_chapters.choose(names, ["nbs/engine/cli.ipynb", "synthetic/"]) == ["synthetic/moves", "synthetic/stick", "engine/cli"]


def test_all_floors(tmp_path, capfd, monkeypatch):
    "The course runs alone and says how to run the rest, which then reuses it; every floor's outputs are stored."
    monkeypatch.delenv("VIDCLS_HOME", raising=False)
    nbs, out = tmp_path/"nbs", tmp_path/"runs"/"tutorial"
    for n in ("00_a", "engine/b", "solutions/00_a"): notebook(nbs/f"{n}.ipynb", f"print('{n}')")
    args = ["--nbs", str(nbs), "--out", str(out)]
    assert run_chapters.main(args) == 0
    said = capfd.readouterr()
    assert said.out.count("make tutorial ALL=1") == 1 and "The other 2 notebooks" in said.out
    assert (out/"00_a.ipynb").exists() and not (out/"engine").exists()
    assert run_chapters.main([*args, "--all", "--store"]) == 0
    said = capfd.readouterr()
    assert "ALL=1" not in said.out and said.err.count("reused") == 1
    for n in ("00_a", "engine/b", "solutions/00_a"): assert saved(nbs/f"{n}.ipynb") == [[stream([f"{n}\n"])]]


def test_run_reuse_store(tmp_path, capfd, monkeypatch):
    "Chapters run in order with the recipe, are reused while nothing changed, run again after what they follow changed, and are stored."
    monkeypatch.delenv("VIDCLS_HOME", raising=False)
    nbs, out = tmp_path/"nbs", tmp_path/"runs"/"tutorial"
    one = ("# One", COUNT.format("model") + " print('hi', os.environ['VIDCLS_RECIPE'], Path.cwd())", ("#| eval: false\n1/0", [stream("kept\n")]), "print(p)")
    notebook(nbs/"00_one.ipynb", *one)
    two = notebook(nbs/"index.ipynb", COUNT.format("two") + " import sys; print('e', file=sys.stderr); import json;"
                   " (p.parent/'result.json').write_text(json.dumps(dict(recipe='smoke', videos=4, clip_accuracy=.5, seconds=1.26)));")
    def run(*a):
        rc = run_chapters.main(["--nbs", str(nbs), "--out", str(out), "--recipe", "smoke", *a])
        runs = [len((out/d/"n").read_text()) if (out/d/"n").exists() else 0 for d in ("model", "two")]
        return rc, runs, capfd.readouterr()
    rc, runs, said = run("--store")
    assert (rc, runs) == (0, [1, 1]), said.err
    assert saved(nbs/"00_one.ipynb") == [None, [stream(["hi smoke nbs\n"])], [stream(["kept\n"])], [stream(["runs/tutorial/model\n"])]]
    assert saved(two) == [[]] and (out/"index.ipynb").read_text() == two.read_text()
    assert "clip accuracy   0.500" in said.out and "seconds         1" in said.out and "00_one" in said.err and "2 cells" in said.err
    nb = json.loads(two.read_text()); again = json.dumps(nb); clean_nb(nb)
    assert json.dumps(nb) == again, "stored in another form than nbdev's"
    notebook(nbs/"00_one.ipynb", "# One, with a better title", *one[1:])
    rc, runs, said = run()
    assert (rc, runs) == (0, [1, 1]) and "reused" in said.err
    assert "better title" in (out/"00_one.ipynb").read_text() and "hi smoke" in (out/"00_one.ipynb").read_text()
    shutil.rmtree(out/"model")  # What a chapter made is gone: it runs again
    assert run()[:2] == (0, [1, 1])
    notebook(nbs/"00_one.ipynb", *one, "2")
    assert run()[:2] == (0, [2, 2])
    assert run("--force", "index")[:2] == (0, [2, 3])


def test_run_fails(tmp_path, capfd):
    "The first failing chapter ends the run: its cell and error are shown, nothing is stored."
    nbs = tmp_path/"nbs"
    notebook(nbs/"00_a.ipynb", "print(1)")
    notebook(nbs/"01_b.ipynb", "x = 1", "# no code", "y = x\nraise KeyError('lost')")
    notebook(nbs/"02_c.ipynb", "1")
    assert run_chapters.main(["--nbs", str(nbs), "--out", str(tmp_path/"out"), "--store"]) == 1
    err = capfd.readouterr().err
    assert "01_b failed in code cell 2 of 2 (id cell2)" in err and "2 | raise KeyError('lost')" in err and "KeyError: 'lost'" in err and "02_c" not in err
    assert saved(nbs/"00_a.ipynb") == [[]] and (tmp_path/"out"/"01_b.failed.ipynb").exists() and not (tmp_path/"out"/"01_b.ipynb").exists()


def test_not_fit_to_be_stored(tmp_path, capfd):
    "A run may show anything, but a folder of some machine is not stored."
    path = notebook(tmp_path/"nbs"/"00_a.ipynb", "print('/us' + 'r/lib/x')")
    args = ["--nbs", str(path.parent), "--out", str(tmp_path/"out")]
    assert run_chapters.main(args) == 0
    assert run_chapters.main([*args, "--store"]) == 1
    assert "00_a: cell 0 (id cell0) stores '/usr/lib'" in capfd.readouterr().err and saved(path) == [[]]


@pytest.mark.parametrize("args", [["nonesuch"], ["--recipe", "nonesuch"], ["--nbs", "nonesuch"]])
def test_bad_usage(args, tmp_path, capfd):
    with pytest.raises(SystemExit) as e: run_chapters.main([*args, "--out", str(tmp_path)])
    assert e.value.code == 2 and capfd.readouterr().err


# -- make_readme ------------------------------------------------------------------------------------------------------

@pytest.fixture
def site(tmp_path):
    "A small checkout."
    shutil.copy(ROOT/"settings.ini", tmp_path)
    (tmp_path/"pyproject.toml").write_text('[tool.nbdev]\nbranch = "x"\ngit_url = "https://github.com/x/y"\n')
    first = "# A title\n\n> One | promise.\n\n<!-- badge -->\n\nMore."
    notebook(tmp_path/"nbs"/"00_a.ipynb", first, '%pip install -q "vidcls @ git+https://github.com/x/y@z"')
    notebook(tmp_path/"nbs"/"solutions"/"00_a.ipynb", first)
    notebook(tmp_path/"nbs"/"index.ipynb", "# {lib_name}\n\n[a](00_a.ipynb) [l](../LICENSE) [w](https://w.org) [h](#h)\n\n<!-- chapters -->\nEnd.",
             "#| hide\nsecret = 1", ("#| echo: false\n#| fig-alt: a [dot]\nshow()", [shown(image_gif=PIXEL, text_plain="x")]),
             ("1 + 1", [shown(text_plain="2 at 0x7f00")]), ("!ls", [stream("a\n"), stream("b\n", "stderr")]),
             ("table", [shown(text_html=f"<style>x</style><table>\n\n  <tr><td><img src='data:image/gif;base64,{PIXEL}'></td></tr></table>")]))
    return tmp_path


def tool(root, *args): return make_readme.main(["--root", str(root), *args])


def test_readme(site, capsys):
    cfg = make_readme.settings(site)
    assert tool(site, "--check") == 1 and not (site/"README.md").exists()
    assert tool(site) == 0 and tool(site, "--check") == 0
    text = (site/"README.md").read_text()
    assert "# vidcls\n\n[a](nbs/00_a.ipynb) [l](LICENSE) [w](https://w.org) [h](#h)" in text
    assert rf"| [00 · A title](nbs/00_a.ipynb) | One \| promise. | {make_readme.badge(cfg, 'nbs/00_a.ipynb')} |" in text and "|\n\nEnd." in text
    assert "secret" not in text and "show()" not in text and "![a (dot)](nbs/images/index-cell2-0.gif)" in text
    assert "```python\n1 + 1\n```\n\n```\n2\n```" in text and "```sh\nls\n```\n\n```\na\n```" in text
    assert "<table>\n<tr><td><img src='nbs/images/index-cell5-0.gif'></td></tr></table>" in text
    assert sorted(p.name for p in (site/"nbs"/"images").iterdir()) == ["index-cell2-0.gif", "index-cell5-0.gif"]
    (site/"README.md").write_text(text + "by hand\n")
    (site/"nbs"/"images"/"index-old-0.png").touch()
    assert tool(site, "--check") == 1
    assert tool(site) == 0 and (site/"README.md").read_text() == text and not (site/"nbs"/"images"/"index-old-0.png").exists()


def test_floors_have_badges_and_tables_of_their_own(site):
    notebook(site/"nbs"/"engine"/"cli.ipynb", "# The command line\n\n> From a shell.\n\n<!-- badge -->")
    index = notebook(site/"nbs"/"index.ipynb", "# A\n\n<!-- chapters -->\n\n## Engine\n\n<!-- engine -->\n\nEnd.")
    assert tool(site) == 0 and tool(site, "--check") == 0
    badge = make_readme.badge(make_readme.settings(site), "nbs/engine/cli.ipynb")
    assert "blob/main/nbs/engine/cli.ipynb" in badge and json.dumps(badge)[1:-1] in (site/"nbs"/"engine"/"cli.ipynb").read_text()
    text = (site/"README.md").read_text()
    assert f"| [The command line](nbs/engine/cli.ipynb) | From a shell. | {badge} |\n\nEnd." in text
    assert text.index("[00 · A title](nbs/00_a.ipynb)") < text.index("## Engine") and "(engine/cli.ipynb)" in index.read_text()


def test_settings_decide_all_addresses(site):
    tool(site)
    ini = site/"settings.ini"
    ini.write_text(ini.read_text().replace("user = vidcls", "user = ann").replace("branch = main", "branch = next/2"))
    assert tool(site, "--check") == 1 and tool(site) == 0
    for n in ("00_a", "solutions/00_a"):
        text = (site/"nbs"/f"{n}.ipynb").read_text()
        assert f"github/ann/vidcls/blob/next/2/nbs/{n}.ipynb" in text and text.count("<!-- badge -->") == text.count("colab-badge") == 1
    assert "git+https://github.com/ann/vidcls@next/2" in (site/"nbs"/"00_a.ipynb").read_text()
    assert (site/"pyproject.toml").read_text() == '[tool.nbdev]\nbranch = "next/2"\ngit_url = "https://github.com/ann/vidcls"\n'
    assert "github/ann/vidcls/blob/next/2" in (site/"README.md").read_text()


# -- stats ------------------------------------------------------------------------------------------------------------

def test_stats(tmp_path, capsys):
    notebook(tmp_path/"00_a.ipynb", "# A", "#| export\n\ndef f():\n\n    return 1", "assert f() == 1", "f()\nf()")
    notebook(tmp_path/"engine"/"b.ipynb", "x = '" + "y"*120 + "'")
    stats.main(tmp_path)
    rows = {l.split()[0]: l.split()[1:] for l in capsys.readouterr().out.splitlines() if l.strip()}
    assert rows["00_a"] == ["3", "2/2/2", "2/2/2", "1/2", "0", "0.33", "33", "%", "1"]
    assert rows["engine/b"][:5] == ["1", "1/1/1", "–", "1/1", "1"] and "solutions" not in rows


# -- notebooks as tests -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("more", [0, 3], ids=["few", "many"])
def test_notebooks_are_tests(tmp_path, more):
    "Each notebook is one test, in its own process; a failure shows the cell and its traceback; the tools are not collected."
    for p in ("conftest.py", "_tools/nbtest.py"):
        (tmp_path/"nbs"/p).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(NBS/p, tmp_path/"nbs"/p)
    tool = tmp_path/"nbs"/"_tools"/"nbtest.py"
    tool.write_text(re.sub(r"PRELOAD = \(.*?\)", "PRELOAD = ('nbdev.test',)", tool.read_text(), flags=re.S))  # These need no torch
    shutil.copy(ROOT/"pyproject.toml", tmp_path)
    notebook(tmp_path/"nbs"/"_tools"/"no.ipynb", "1/0")
    notebook(tmp_path/"nbs"/"00_good.ipynb", "#| eval: false\n1/0",
             "import os; assert os.environ['VIDCLS_RECIPE'] == 'smoke' and os.getcwd().endswith('nbs')",
             "import multiprocessing as mp; assert mp.get_start_method() == mp.get_all_start_methods()[0]")
    notebook(tmp_path/"nbs"/"solutions"/"01_bad.ipynb", "# A", "def f(): raise ValueError('odd')", "x = 1\nf()")
    for i in range(more): notebook(tmp_path/"nbs"/"engine"/f"{i}_more.ipynb", f"print({i})")
    notebook(tmp_path/"nbs"/"engine"/".ipynb_checkpoints"/"0_more-checkpoint.ipynb", "1/0")
    (tmp_path/"kept").mkdir()
    (tmp_path/"kept"/".data").touch()  # No data needed here
    env = {**os.environ, "VIDCLS_TEST_HOME": str(tmp_path/"kept")}
    for k in [k for k in env if k.startswith("PYTEST_")]: del env[k]
    rc, out = nbtest.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "nbs"], cwd=tmp_path, env=env)
    assert rc == 1 and f"1 failed, {1 + more} passed" in out, out
    assert "ValueError in cell #3 of 01_bad.ipynb" in out and "    x = 1\n    f()" in out and "ValueError: odd" in out and "run_code" not in out


def test_the_slow_notebooks_are_there():
    text = (NBS/"conftest.py").read_text(encoding="utf-8")
    [slow], [trains] = (re.findall(rf"^{name} = (\(.*?\)|\".*?\")", text, re.M | re.S) for name in ("SLOW", "TRAINS"))
    for n in (*ast.literal_eval(slow), ast.literal_eval(trains)): assert list(NBS.glob(f"{n}*")), n
