"Who sees the library's messages: nobody unasked, and the main process once."
import ast, logging, os, subprocess, sys
from importlib import import_module

import nbformat, pytest

import nbtest, run_chapters
from nbtest import ROOT
from vidcls.engine.cli import main
from vidcls.engine.machine import show_messages
from vidcls.engine.recipes import get_recipe
from videos import write_dataset

MODULES = sorted(p for p in (ROOT/"vidcls").rglob("*.py") if not p.name.startswith("_"))


def python(code, **env):
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ | {"VIDCLS_RECIPE": "smoke"} | env)
    assert r.returncode == 0, r.stderr
    return r


def test_an_import_adds_no_handler_and_a_script_sees_warnings_only():
    r = python("import logging, vidcls\nlog = logging.getLogger('vidcls')\n"
               "vidcls.get_recipe()\nlogging.getLogger('vidcls.infer').warning('a warning')\n"
               "print(log.handlers, log.level, log.propagate, logging.getLogger().handlers)")
    assert r.stdout == "[] 0 True []\n" and r.stderr == "a warning\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_two_calls_show_a_message_once(stream, capsys):
    for _ in range(2): show_messages(stream)
    get_recipe("smoke")
    get_recipe("smoke", verbose=False)
    said = capsys.readouterr()._asdict()
    said = {"stdout": said["out"], "stderr": said["err"]}
    assert said.pop(stream) == "Recipe: smoke (asked for by name).\n" and not any(said.values())


def test_a_second_call_changes_nothing(capsys):
    show_messages("stdout")
    show_messages("stderr")
    get_recipe("smoke")
    assert "Recipe: smoke" in capsys.readouterr().out


def test_warnings_go_to_stderr_and_nothing_to_the_root(capsys, caplog):
    show_messages("stdout")
    logging.getLogger("vidcls.infer").warning("a warning")
    logging.getLogger("vidcls.infer").debug("a detail")
    said = capsys.readouterr()
    assert (said.out, said.err, caplog.text) == ("", "a warning\n", "")


def test_a_chosen_level_stays(capsys):
    logging.getLogger("vidcls").setLevel(logging.ERROR)
    show_messages("stdout")
    get_recipe("smoke")
    assert capsys.readouterr() == ("", "")


def test_there_are_two_streams():
    with pytest.raises(ValueError, match="'stdout' or 'stderr', not 'file'"): show_messages("file")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_command_shows_messages_on_stderr_in_the_main_process(rank, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RANK", rank)
    assert main(["finetune", "--recipe", "smoke", "--data", str(tmp_path/"nowhere")]) == 1
    said = capsys.readouterr()
    assert not said.out and said.err.count("Recipe: smoke (asked for by name).") == (rank == "0")


@pytest.mark.slow
def test_a_command_as_a_process(tmp_path):
    "What training says is on standard error, a line each, the result on standard output."
    data = write_dataset(tmp_path/"set")
    args = ["finetune", "--data", str(data), "--out", str(tmp_path/"m"), "--workers", "0", "--epochs", "1"]
    r = python(f"import sys\nfrom vidcls.engine.cli import main\nsys.exit(main({args}))")
    for said in ("Recipe: smoke (set by VIDCLS_RECIPE).\n", "Starting from the weights of videomae-stick.\n"):
        assert r.stderr.count(said) == 1 and said not in r.stdout
    assert r.stdout.startswith("model ")


def test_a_notebook_shows_messages(tmp_path, pytestconfig):
    "Once, although the package is imported again, and a cell that captures its output gets them."
    code = ["import vidcls\nfrom vidcls.engine.recipes import get_recipe\nrecipe = get_recipe()",
            "import logging, importlib, vidcls\nimportlib.reload(vidcls)\nlogging.getLogger('vidcls.mine').info('once')\n"
            "logging.getLogger('vidcls.mine').warning('a warning')",
            "%%capture said\nget_recipe()", "assert said.stdout == 'Recipe: smoke (set by VIDCLS_RECIPE).\\n', said.stdout"]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in code])
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    run_chapters.execute(nb, tmp_path, nbtest.clean_env(pytestconfig, PYTHONPATH=path))
    said = [{o["name"]: o["text"] for o in c.outputs if o["output_type"] == "stream"} for c in nb.cells]
    assert said == [{"stdout": "Recipe: smoke (set by VIDCLS_RECIPE).\n"}, {"stdout": "once\n", "stderr": "a warning\n"}, {}, {}]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT/"vidcls").with_suffix("").as_posix())
def test_modules_log_under_their_names_and_only_commands_print(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    printing = {"print"} & {getattr(f, "id", getattr(f, "attr", "")) for f in calls}
    assert not printing or name in ("vidcls.engine.cli", "vidcls.engine.machine", "vidcls.engine.progress")
    if any(getattr(f, "attr", "") == "getLogger" for f in calls) and name != "vidcls.engine.machine":
        assert import_module(name).logger.name == name
