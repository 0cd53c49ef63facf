"What a training shows: lines in a log, one bar on a terminal, a table and curves in a notebook, nothing when asked."
import os, re, sys, threading, types
from contextlib import contextmanager
from dataclasses import replace

import pytest, torch
from transformers import PrinterCallback, TrainerControl, TrainerState, TrainingArguments

from vidcls import finetune
from vidcls.engine import progress as P
from vidcls.engine.recipes import RECIPES
from vidcls.engine.trainer import TrainingProgress
from videos import tiny_config


@pytest.fixture
def recipe(data): return replace(RECIPES["smoke"], data=str(data), epochs=3, batch_size=2)


def train(recipe, folder, **kwargs): return finetune(recipe, folder, workers=0, check="none", **kwargs)


def test_a_log_gets_a_few_plain_lines(recipe, tmp_path, capfd):
    done = train(recipe, tmp_path/"m")
    out, err = capfd.readouterr()
    lines = [l for l in err.splitlines() if not l.startswith(("Starting", "Recipe"))]
    assert not out and "\r" not in err and "|" not in err and "{" not in err
    assert len(lines) <= 2 + done.metrics["seconds"]/P.EVERY
    assert re.fullmatch(r"epoch 1/3, loss [\d.]+, validation accuracy [\d.]+, [\d.]+ clips/s, waiting \d+%", lines[0])
    assert re.fullmatch(r"Trained 3 epochs in \d+ s; the best validation accuracy was [\d.]+, after epoch \d\.", lines[-1])


def test_nothing_is_shown_when_nothing_is_asked_for(recipe, tmp_path, capfd):
    train(recipe, tmp_path/"m", progress=False)
    out, err = capfd.readouterr()
    assert not out and not [l for l in err.splitlines() if not l.startswith(("Starting", "Recipe"))]


@contextmanager
def terminal(monkeypatch, columns=100):
    "Standard error is a terminal; the list gets what was written to it."
    import fcntl, struct, termios
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    written = []
    def read():
        while True:
            try: block = os.read(master, 65536)
            except OSError: return # The other end was closed
            if not block: return
            written.append(block)
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with monkeypatch.context() as m, open(slave, "w", buffering=1, encoding="utf-8") as stream:
        m.setattr(sys, "stderr", stream)
        yield written
    reader.join(10)
    os.close(master)


def screen(written):
    "(lines that are left on the terminal, all states that were shown)"
    shown = [l.split("\r") for l in b"".join(written).decode().replace("\r\n", "\n").split("\n")]
    states = [s.strip() for l in shown for s in l if s.strip()]
    left = [next((s.strip() for s in reversed(l) if s), "") for l in shown]
    return [l for l in left if l], states


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("columns", [60, 120])
def test_a_terminal_has_one_bar_and_the_lines_of_epochs_stay(recipe, tmp_path, monkeypatch, columns):
    with terminal(monkeypatch, columns) as written: train(recipe, tmp_path/"m")
    left, states = screen(written)
    assert [l.partition(",")[0] for l in left if l.startswith("epoch")] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert left[-1].startswith("Trained 3 epochs") and not any("█" in l or "|" in l for l in left) # The bar is gone
    bars = {s.partition("|")[0].partition(",")[0].strip() for s in states if "|" in s}
    assert bars <= {"epoch 1/3", "epoch 2/3", "epoch 3/3", "evaluation"} and "epoch 3/3" in bars
    assert all(len(s) <= columns for s in states if "|" in s) and "\x1b[A" not in b"".join(written).decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_bar_of_a_failed_training_is_taken_away(recipe, tmp_path, monkeypatch):
    def fails(*args): raise KeyboardInterrupt
    monkeypatch.setattr("vidcls.train.compute_metrics", fails)
    with terminal(monkeypatch) as written, pytest.raises(KeyboardInterrupt): train(recipe, tmp_path/"m")
    left, _ = screen(written)
    assert left[-1].startswith("Stopped in epoch 1/3, validating") and not any("|" in l for l in left)


@pytest.fixture
def displays(monkeypatch):
    "A notebook; every display is a list of what was in it."
    shown = []
    class Handle:
        def __init__(self, what): self.states = [what]; shown.append(self.states)
        def update(self, what): self.states.append(what)
    monkeypatch.setattr(P, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda what, display_id: Handle(what))
    return shown


def test_a_notebook_has_one_table_and_curves_that_grow(recipe, tmp_path, displays, capfd):
    train(recipe, tmp_path/"m")
    pages, curves = displays[:2]
    assert not capfd.readouterr().out and len(pages) >= 4 and len(curves) >= 3 and len(displays) <= 3 # Perhaps a slow test
    last = pages[-1]._repr_html_()
    assert "<progress" in pages[0]._repr_html_() and "<progress" not in last and last.count("<tr>") == 4
    assert "validation accuracy" in last and "Trained 3 epochs" in last and repr(pages[-1]).startswith("epoch 1/3")
    assert all(c.data.startswith(b"\x89PNG") for c in curves)


def test_a_training_that_goes_on_shows_what_was_before(recipe, tmp_path, displays, monkeypatch):
    def killed(*args): raise KeyboardInterrupt
    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
        m.setattr("vidcls.train.test_scores", killed)
        train(recipe, tmp_path/"m")
    displays.clear()
    train(recipe, tmp_path/"m", resume=True)
    assert displays[0][-1]._repr_html_().count("<tr>") == 4


def test_only_the_main_process_shows_anything(tmp_path, capfd):
    shown, state = TrainingProgress(), TrainerState(is_world_process_zero=False, max_steps=2, num_train_epochs=1)
    args, control = TrainingArguments(str(tmp_path), report_to="none"), TrainerControl()
    for event in "on_train_begin on_step_end on_prediction_step on_epoch_end on_evaluate on_train_end on_predict".split():
        getattr(shown, event)(args, state, control, eval_dataloader=[1])
    assert capfd.readouterr() == ("", "")


def test_loops_write_lines_to_a_log_and_nothing_when_short(monkeypatch, capfd):
    assert [*P.progress_bar(range(5), "looking")] == [*range(5)] and [*P.progress_bar(iter("ab"), "looking")] == ["a", "b"]
    assert not capfd.readouterr().err
    clock = iter(range(0, 10_000, 3))
    monkeypatch.setattr(P, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    assert [*P.progress_bar(range(40), "looking", "file")] == [*range(40)]
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "looking: 3 of 40 files after 12 s" and lines[-1].startswith("looking: 40 files in ") and len(lines) < 14


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_loops_have_a_bar_on_a_terminal(monkeypatch):
    with terminal(monkeypatch) as written: assert len([*P.progress_bar(range(5), "looking", "file")]) == 5
    left, _ = screen(written)
    assert len(left) == 1 and left[0].startswith("looking: 100%") and "file/s" in left[0]


def test_a_plain_trainer_can_use_it_too(tmp_path, capfd):
    from transformers import Trainer, VideoMAEForVideoClassification
    clips = [dict(pixel_values=torch.rand(8, 3, 32, 32), labels=0)]*4
    args = TrainingArguments(str(tmp_path), num_train_epochs=1, logging_steps=1, report_to="none", save_strategy="no",
                             disable_tqdm=True, use_cpu=True, per_device_train_batch_size=2)
    plain = Trainer(VideoMAEForVideoClassification(tiny_config(num_labels=2)), args, train_dataset=clips, callbacks=[TrainingProgress()])
    plain.remove_callback(PrinterCallback)
    plain.train()
    out, err = capfd.readouterr()
    assert err.startswith("epoch 1/1, loss") and "Trained 1 epoch in" in err and not out
