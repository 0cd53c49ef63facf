"Every notebook is a test: it runs from top to bottom in a separate process, with the smoke recipe and no network."
import json, re, sys
from pathlib import Path

import pytest

here = Path(__file__).parent
sys.path.insert(0, str(here/"_tools"))
import nbtest  # noqa: E402


def pytest_collect_file(file_path, parent):
    inner = file_path.relative_to(here).parts
    if file_path.suffix == ".ipynb" and not any(p.startswith((".", "_")) for p in inner):
        return Notebook.from_parent(parent, path=file_path)


# Speed is measured for a long time, answers repeat much of their chapters, and the other ones train or start many processes
SLOW = ("13_speed", "14_scale", "16_yours", "engine/answers", "engine/app", "engine/cli", "engine/cluster", "engine/costs", "engine/export",
        "engine/hosts", "engine/judge", "engine/live", "engine/look", "engine/manifest", "engine/prepare", "engine/results", "engine/shards",
        "solutions/", "synthetic/long", "synthetic/masks", "synthetic/phone")
TRAINS = "06_train" # Trains the model that the others take; on its own, each of them would train it too


class Notebook(pytest.File):
    def collect(self):
        run = Run.from_parent(self, name="runs")
        if self.path.relative_to(here).as_posix().startswith(SLOW): run.add_marker("slow")
        yield run


class Run(pytest.Item):
    def runtest(self):
        name = "-".join(self.path.relative_to(here.parent).with_suffix("").parts)
        env = nbtest.own_home(self.config, name, TRAINS not in name and "tutorial_model(" in self.path.read_text(encoding="utf-8"))
        many = sum(isinstance(i, Run) for i in self.session.items) > 3
        (alone := Path(env["VIDCLS_HOME"])/"alone").mkdir()  # A notebook gets nothing from the folder that it lies in
        rc, out = nbtest.notebook(self.path, env, alone, many)
        if rc: raise NotebookFailed(explain(self.path, out))
        if out.strip(): self.add_report_section("call", "slow cells and messages", out)

    def repr_failure(self, excinfo, style=None):
        return str(excinfo.value) if excinfo.errisinstance(NotebookFailed) else super().repr_failure(excinfo, style)

    def reportinfo(self): return self.path, None, f"{self.path.name} runs"


class NotebookFailed(Exception): "A cell raised an error; the message contains the cell and its traceback."


def explain(path, out):
    "The source of the failing cell and its traceback, without the frames of the code that ran the notebook."
    out = out.replace(f"{here.parent}/", "")
    cell = re.search(r"(\w+) in \S+:\n=+\n+While Executing Cell #(\d+):\n", out)
    if not cell: return out
    tb = re.sub(r"(Traceback \(most recent call last\):\n)(?:(?!Traceback).)*?exec\(code_obj[^\n]*\n", r"\1", out[cell.end():], flags=re.S)
    src = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][int(cell[2]) - 1]["source"])
    return f"{cell[1]} in cell #{cell[2]} of {path.name}\n\n" + "".join(f"    {l}\n" for l in src.splitlines()) + f"\n{out[:cell.start()]}{tb.strip()}"
