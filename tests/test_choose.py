"The default start for somebody's own videos, and budgets: what is chosen, that it is told, and that the time is kept."
import math, os, random, subprocess, sys, time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import Hub
from test_families import publish

from vidcls.backbones import extract_features, probe_videos
from vidcls.clips import ClipDataset, ClipSpec
from vidcls.data import video_table
from vidcls.engine import budget as B, choose as C
from vidcls.engine.budget import all_plans, choose, Deadline, in_turn, MARGIN, measure, Measured, MOST, Plan, price, worth
from vidcls.engine.choose import machine_method, make_plan, shipped_worth
from vidcls.engine.cli import main
from vidcls.engine.recipes import as_recipe, AUTO, RECIPES
from vidcls.engine.record import load_record
from vidcls.engine.run import Run
from vidcls.infer import predict
from vidcls.train import finetune
from videos import write_dataset

BASE = C.KINETICS[0]


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch): monkeypatch.delenv("VIDCLS_RECIPE", raising=False)


@pytest.fixture
def tiny(tmp_path): return str(publish(tmp_path/"published", "videomae"))


# -- choosing, on made-up speeds ---------------------------------------------------------------------------------------

def machine(rng):
    "A machine of any speed, with any number of videos."
    speed = lambda: 10**rng.uniform(-5, 1.5)
    steps = {m: speed() for m in rng.sample(["full", "lora", "probe"], rng.randint(1, 3))}
    videos = tuple(rng.choice([1, 5, 30, 300, 5000]) for _ in range(3))
    sizes = [(None, None, 1., 1)] + [(8, 32, .5, 2)]*rng.randint(0, 1)
    return Measured(SimpleNamespace(eval_clips=rng.randint(1, 3), batch_size=rng.choice([2, 16])), videos, speed(), speed(), steps, speed()/100, speed(), speed(),
                    rng.random() < .5, tuple(sizes), classes=rng.choice([2, 10]))


@pytest.mark.parametrize("seed", range(40))
def test_no_plan_exceeds_its_budget_and_a_larger_one_never_gets_less(seed):
    rng = random.Random(seed)
    found, last = [machine(rng) for _ in range(rng.randint(1, 2))], None
    for seconds in sorted(10**rng.uniform(.3, 5) for _ in range(25)):
        try: plan = choose(found, seconds)
        except ValueError:
            assert last is None
            continue
        m, rank = plan.measured, found.index(plan.measured)
        assert plan.seconds*MARGIN <= seconds
        assert plan.seconds == price(m, plan.method, plan.epochs, plan.clips, plan.share, plan.size)
        assert last is None or worth(plan, rank) >= last
        better = [p for r, m in enumerate(found) for p in all_plans(m) if p.seconds*MARGIN <= seconds and worth(p, r) > worth(plan, rank)]
        assert not [p for p in better if p.share == 1]
        last = worth(plan, rank)


def test_every_part_of_a_plan_costs_time():
    m = Measured(SimpleNamespace(eval_clips=3, batch_size=3), (60, 12, 30), .02, .05, dict(full=.15, probe=.001))
    base = price(m, "full", 10, 2, 1., 0)
    assert base > price(m, "full", 9, 2, 1., 0) and base > price(m, "full", 10, 1, 1., 0)
    for more in (dict(read=.1), dict(forward=.1), dict(steps=dict(full=1.)), dict(check=1.), dict(load=1.), dict(save=1.), dict(videos=(61, 12, 30))):
        assert price(replace(m, **more), "full", 10, 2, 1., 0) > base, more
    assert price(m, "probe", 0, 2, .5, 0) < price(m, "probe", 0, 2, 1., 0)


def test_the_order_of_plans():
    m = Measured(SimpleNamespace(eval_clips=3, batch_size=3), (60, 12, 30), .02, .05, dict(full=.15, lora=.1, probe=.001))
    chosen = [choose([m], s) for s in (8, 15, 30, 40, 60, 100, 1e6)]
    assert [p.method for p in chosen[:2]] == ["probe", "probe"] and chosen[0].share < 1 == chosen[1].share
    assert [p.method for p in chosen[-3:]] == ["lora", "full", "full"] and chosen[-1].epochs == MOST and chosen[-1].clips == 3
    assert choose([replace(m, steps=dict(full=.15))], 30).epochs < B.ENOUGH  # Asked for, so also in a hurry
    slow = replace(m, forward=20., steps=dict(full=60., probe=.001))
    assert choose([slow, m], 60).measured is m and choose([m, slow], 1e6).measured is m


def test_few_videos_need_more_epochs():
    m = Measured(SimpleNamespace(eval_clips=1, batch_size=16), (300, 30, 75), .001, .001, dict(full=.001, probe=.0001))
    assert m.enough == 6 and replace(m, videos=(60, 12, 30)).enough == 27 and replace(m, videos=(10**6, 0, 0)).enough == B.ENOUGH
    assert choose([replace(m, videos=(10, 2, 4))], 1e6).method == "probe" and choose([m], 1e6).method == "full"


def test_too_little_time_is_one_sentence_with_the_least():
    m = Measured(SimpleNamespace(eval_clips=1, batch_size=3), (60, 12, 30), .5, 1., dict(full=3.), where="2 CPU cores")
    least = min(p.seconds for p in all_plans(m))*MARGIN
    with pytest.raises(ValueError, match=f"cheapest plan takes about {B.duration(math.ceil(least))} on 2 CPU cores") as e: choose([m], 10)
    assert "\n" not in str(e.value)
    assert choose([m], math.ceil(least)).epochs == 1


def test_any_first_part_of_the_videos_has_all_classes(tmp_path):
    table = in_turn(video_table(write_dataset(tmp_path/"set", frames=2)))
    assert set(table.head(2*3).value_counts(["split", "label"])) <= {1, 2} and sorted(table.path) == sorted(video_table(tmp_path/"set").path)


# -- the clock ---------------------------------------------------------------------------------------------------------

def deadline(seconds, monkeypatch, **m):
    "A `Deadline` with a clock that the test turns."
    now = [0.]
    monkeypatch.setattr(B.time, "monotonic", lambda: now[0])
    measured = Measured(SimpleNamespace(eval_clips=1, batch_size=3), (60, 10, 20), .02, .05, dict(full=.15), load=.5, save=.5)
    return Deadline(Plan("full", None, replace(measured, **m), 10, 1, budget=seconds, until=seconds)), now


@pytest.mark.parametrize("seed", range(20))
def test_a_training_ends_in_time_on_a_machine_that_changes(seed, monkeypatch):
    rng = random.Random(seed)
    end, now = deadline(100., monkeypatch)
    group, control = dict(lr=1., initial_lr=1.), SimpleNamespace(should_training_stop=False, should_evaluate=True, should_save=True)
    speed, last = .1, 1.
    end.on_train_begin(None, SimpleNamespace(log_history=[]), control)
    end.on_epoch_begin(None, None, control)
    while not control.should_training_stop:
        speed = min(3., max(.01, speed*rng.uniform(.8, 1.25)))
        now[0] += speed
        group["lr"] = 1.
        end.on_step_end(None, None, control, optimizer=SimpleNamespace(param_groups=[group]))
        assert group["lr"] <= last + .1
        last = group["lr"]
    assert now[0] + (end.val + end.test)*end.clip*end.step/end.usual <= 100 and group["lr"] < .2


def test_a_slow_validation_moves_the_end_and_a_missing_one_is_left_out(monkeypatch):
    end, now = deadline(100., monkeypatch)
    before = end.rest()
    end.steps = [50.] + [4*end.usual]*8  # Four times slower than planned: so will be the rest
    assert abs(end.rest() - 4*before + end.after) < 1e-6
    end.on_evaluate(None, None, None, metrics=dict(eval_runtime=20.))
    assert end.clip == 2. and before + 20 < end.rest() < 4*before + 100  # At today's speed
    control = SimpleNamespace(should_evaluate=True, should_save=True)
    end.on_epoch_end(None, None, control)
    assert control.should_evaluate
    now[0] = 60.
    end.on_epoch_end(None, None, control)
    assert not control.should_evaluate and not control.should_save


def test_a_training_that_goes_on_knows_how_long_its_validation_took(monkeypatch):
    end, _ = deadline(100., monkeypatch)
    end.on_train_begin(None, SimpleNamespace(log_history=[dict(eval_runtime=5.), dict(loss=1.)]), None)
    assert end.clip == .5


def test_the_test_is_cut_to_the_time_and_says_so(monkeypatch, data, caplog):
    caplog.set_level("INFO", "vidcls")
    whole = ClipDataset(video_table(data), ClipSpec(8, .8, 32), num_clips=3)
    end, now = deadline(100., monkeypatch)
    assert end.affordable(whole) is whole
    end.clip = 60/len(whole)
    now[0] = 40.
    fewer = end.affordable(whole)
    assert fewer.num_clips < 3 and len(fewer.paths) == len(whole.paths) and "no time for the whole test" in caplog.text
    now[0] = 99.
    least = end.affordable(whole)
    assert least.num_clips == 1 and least.table.label.nunique() == whole.table.label.nunique() and len(least) < len(whole.paths)


# -- budgets, with videos ----------------------------------------------------------------------------------------------

def test_a_budget_is_kept_and_the_best_model_with_it(data, tiny, tmp_path, caplog):
    caplog.set_level("INFO", "vidcls")
    start = time.monotonic()
    done = finetune(str(data), tmp_path/"m", checkpoint=tiny, budget=25, workers=0, progress=False)
    assert time.monotonic() - start < 1.1*25 and 1 <= done.metrics["videos"] <= 4  # Fewer on a machine that is busy
    assert "Budget 25 s" in caplog.text and "Plan: training " in caplog.text and "Why " in caplog.text and "It took " in caplog.text
    assert predict(done.model_dir, next(Path(data).glob("test/*/*.avi")))


@pytest.mark.slow
def test_the_clock_stops_a_training_and_the_best_epoch_is_kept(data, tiny, tmp_path, monkeypatch):
    "A machine that is far slower than when it was measured."
    def slow(self, args, state, control, **kwargs):
        self.until = min(self.until, time.monotonic() + 25) if state.global_step == 1 else self.until
        time.sleep(.3)
    monkeypatch.setattr(Deadline, "on_step_begin", slow)
    monkeypatch.setattr(B, "FIXED", .5)
    monkeypatch.setattr(B, "SPARE", 0.)
    done = finetune(replace(as_recipe(str(data), tiny), batch_size=2), tmp_path/"m", budget="10m", method="full", workers=0, progress=False)
    record = load_record(done.model_dir)
    ends = [h["eval_accuracy"] for h in done.history if "eval_accuracy" in h]
    assert record["recipe"]["epochs"] == MOST and 1 <= len(ends) < MOST and done.metrics["seconds"] < 40


@pytest.mark.slow
def test_a_budgeted_run_goes_on_with_its_plan(data, tiny, tmp_path, monkeypatch):
    recipe = replace(as_recipe(str(data), tiny), batch_size=2)
    def die(self, args, state, control, **kwargs):
        if state.epoch and state.epoch > 2: raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr(Deadline, "on_step_begin", die)
        with pytest.raises(KeyboardInterrupt): finetune(recipe, tmp_path/"m", budget=60, method="full", workers=0, progress=False)
    was = Run(tmp_path/"m").begun
    assert was["recipe"]["epochs"] >= B.ENOUGH
    with pytest.raises(ValueError, match="interrupted run"): finetune(recipe, tmp_path/"m", budget=60, workers=0, progress=False)
    monkeypatch.setattr(B, "MOST", 7)  # A new plan would be another one
    done = finetune(recipe, tmp_path/"m", resume=True, budget=60, method="full", workers=0, progress=False)
    assert load_record(done.model_dir)["recipe"] == was["recipe"] and max(h["epoch"] for h in done.history) > 2
    again = finetune(recipe, tmp_path/"m", resume=True, budget=60, method="full", workers=0, progress=False)
    assert again.history == done.history


def test_a_probe_takes_as_many_videos_as_there_is_time_for(data, tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    table = in_turn(video_table(data))
    some = extract_features(tiny, table, batch_size=4, workers=0, until=time.monotonic() - 1, progress=False)
    n = len(some.table)  # One batch, of which the first is a small one
    assert 1 <= n <= 4 and list(some.table.path) == list(table.path[:n])
    assert f"{len(table) - n} of {len(table)} videos were not reached in time" in caplog.text
    caplog.clear()
    done = probe_videos(as_recipe(str(data), tiny), tmp_path/"m", workers=0, until=time.monotonic() + 60, progress=False)
    assert load_record(done.model_dir)["videos"] == len(table) and "not reached" not in caplog.text


@pytest.mark.parametrize("budget", [0, -3, "soon", "0s", math.nan, math.inf, True])
def test_a_budget_that_is_no_time_is_refused_before_anything_happens(data, tiny, tmp_path, budget):
    with pytest.raises(ValueError, match="budget is a time above zero"): finetune(str(data), tmp_path/"m", checkpoint=tiny, budget=budget)
    assert not (tmp_path/"m").exists()


@pytest.mark.parametrize("args, what", [(["--budget", "soon"], "such as 90s, 10m, 1h"), (["--budget=-5"], "not '-5'"), (["--budget", "0"], "not '0'"),
                                        (["--budget", "5m", "--epochs", "3"], "--epochs and --budget"), (["--method", "magic"], "--method must be one of")])
def test_a_budget_called_wrongly(args, what, data, capsys):
    assert main(["finetune", "--data", str(data), *args]) == 2
    said = capsys.readouterr()
    assert not said.out and what in said.err and said.err.count("\n") == 1


def test_pretraining_has_no_budget(data, capsys):
    with pytest.raises(SystemExit) as e: main(["pretrain", str(data), "--budget", "5m"])
    assert e.value.code == 2 and "--budget" in capsys.readouterr().err


def test_a_budget_that_is_too_small_says_what_is_needed(data, tiny, tmp_path, capsys):
    assert main(["finetune", "--data", str(data), "--checkpoint", tiny, "--budget", "1s", "--out", str(tmp_path/"m")]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "The budget is too small" in said and "cheapest plan takes about" in said and not (tmp_path/"m").exists()


# -- the start for own videos ------------------------------------------------------------------------------------------

def test_only_named_recipes_and_checkpoints_bring_the_stick_figures(data, monkeypatch):
    assert as_recipe(str(data)).checkpoint == AUTO and as_recipe(str(data), "videomae-stick").checkpoint == "videomae-stick"
    assert as_recipe().checkpoint == "videomae-stick" and as_recipe("smoke").checkpoint == "videomae-stick"
    monkeypatch.setenv("VIDCLS_RECIPE", "smoke")
    assert as_recipe(str(data)).checkpoint == "videomae-stick"


@pytest.mark.slow
def test_what_the_stick_figures_are_worth_is_said_where_they_meet_own_videos(data, caplog):
    caplog.set_level("INFO", "vidcls")
    make_plan(as_recipe(str(data), "videomae-stick"))
    assert shipped_worth() in caplog.text
    caplog.clear()
    make_plan(RECIPES["smoke"])
    assert not caplog.text


@pytest.mark.slow
def test_a_choice_is_seen_without_any_logging(data, tmp_path):
    "Python shows only warnings if nobody has asked for messages."
    code = f"from vidcls.engine.choose import make_plan; from vidcls.engine.recipes import as_recipe; make_plan(as_recipe({str(data)!r}, 'videomae-stick'))"
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"VIDCLS_HOME": str(tmp_path)})
    assert r.returncode == 0 and "generated stick figures" in r.stderr and not r.stdout, r.stderr


@pytest.fixture
def kinetics(tmp_path):
    "The files of a tiny model, as the default start has them."
    return {f.name: f for f in publish(tmp_path/"kinetics", "videomae").iterdir()}


@pytest.fixture
def hub(monkeypatch, tmp_path, kinetics):
    "A Hub with this model under the name of the default start."
    with Hub() as hub:
        hub.lead_here(monkeypatch, tmp_path)
        hub.commit = hub.add_repo(BASE, kinetics)
        yield hub


def unplug(monkeypatch):
    "From now on, nobody answers at the Hub's address."
    import huggingface_hub
    from huggingface_hub import constants
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}")
    huggingface_hub.close_session()


def command(capsys, *args):
    "Run `vidcls finetune`: (status, what it said)."
    status = main(["finetune", "--workers", "0", *map(str, args)])
    return status, capsys.readouterr().err


def test_own_videos_get_what_suits_the_machine_and_are_told_why(hub, data, tmp_path, capsys, monkeypatch):
    status, said = command(capsys, "--data", data, "--out", tmp_path/"a")
    method, record = machine_method()[0], load_record(tmp_path/"a")
    assert status == 0 and record["recipe"]["checkpoint"] == BASE and record["recipe"]["checkpoint_revision"] == hub.commit, said
    assert record["task"] == ("probe" if method == "probe" else "finetune")
    for word in (BASE, hub.commit, "cc-by-nc-4.0", "GFLOP", "1,000 clips take about", f"Why {method}:"): assert word in said, (word, said)
    assert "stick" not in said
    unplug(monkeypatch)  # The cache is enough
    status, said = command(capsys, "--data", data, "--out", tmp_path/"b")
    assert status == 0 and hub.commit in said, said


def test_a_budget_for_own_videos_takes_what_is_at_hand(hub, data, tmp_path, capsys):
    status, said = command(capsys, "--data", data, "--out", tmp_path/"m", "--budget", "90s")
    assert status == 0 and load_record(tmp_path/"m")["recipe"]["checkpoint"] == BASE and "Plan: " in said and "It took" in said, said


@pytest.mark.parametrize("more", [[], ["--budget", "5m"]])
def test_without_network_and_cache_it_says_what_is_left(hub, data, tmp_path, capsys, monkeypatch, more):
    unplug(monkeypatch)
    status, said = command(capsys, "--data", data, "--out", tmp_path/"m", *more)
    last = said.strip().splitlines()[-1]
    assert status == 1 and "--checkpoint videomae-stick" in last and shipped_worth() in last and BASE in last, said
    assert not (tmp_path/"m").exists()


def test_weights_in_another_format_are_not_at_hand(hub, kinetics, data, tmp_path, capsys):
    hub.add_repo(BASE, {n.replace("model.safetensors", "pytorch_model.bin"): f for n, f in kinetics.items()})
    status, said = command(capsys, "--data", data, "--out", tmp_path/"m")
    assert status == 1 and "it has no model.safetensors" in said and "--checkpoint videomae-stick" in said, said


def test_a_slow_network_is_not_waited_for(hub):
    hub.slow("model.safetensors", 20)
    start = time.monotonic()
    with pytest.raises(OSError, match="was not fetched within 1 s"): C.fetch(BASE, 1.)
    assert time.monotonic() - start < 10


def test_a_folder_that_is_not_there_is_named_before_anything_is_fetched(hub, tmp_path, capsys):
    status, said = command(capsys, "--data", tmp_path/"none", "--out", tmp_path/"m")
    assert status == 1 and "no folder" in said and not hub.log


def test_a_gpu_trains_all_weights_or_a_few_where_memory_is_small(monkeypatch):
    monkeypatch.setattr(C, "get_device", lambda: "cuda")
    monkeypatch.setattr(C.torch.cuda, "get_device_name", lambda: "H100")
    for gib, method in ((80, "full"), (4, "lora")):
        monkeypatch.setattr(C.torch.cuda, "get_device_properties", lambda i, gib=gib: SimpleNamespace(total_memory=gib*2**30))
        monkeypatch.setattr(C.util, "find_spec", lambda name: object())
        assert machine_method()[0] == method and "H100" in machine_method()[1]
    monkeypatch.setattr(C.util, "find_spec", lambda name: None)
    assert machine_method()[0] == "full"


@pytest.mark.parametrize("family, sizes", [("videomae", 1), ("timesformer", 2)])
def test_smaller_clips_only_where_the_family_allows(family, sizes, tmp_path, data):
    recipe = as_recipe(str(data), str(publish(tmp_path/"p", family)))
    m = measure(recipe, video_table(data), ("full",), .2, 0)
    assert len(m.sizes) >= 1 and (len(m.sizes) > 1) <= (sizes > 1) and m.sizes[0] == (None, None, 1., 1)
    assert measure(recipe, video_table(data), (), .1, 0).gflop > 0 == m.gflop and m.forward > 0 and m.steps["full"] > 0 and m.videos == tuple((video_table(data).split == s).sum() for s in ("train", "val", "test"))

