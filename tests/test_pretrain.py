"Masked pre-training, the records of the checkpoints that ship, and transfer."
import hashlib, json, shutil, subprocess, sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np, pandas as pd, pytest, torch
from safetensors.torch import load_file
from transformers import TrainerCallback, VideoMAEForPreTraining, set_seed

import make_checkpoint as M
from vidcls import masked as P, train as T
from vidcls.synthetic import moves, stick
from vidcls.clips import ClipDataset, ClipSpec
from vidcls.engine.video import VideoError
from vidcls.data import video_table
from vidcls.engine.recipes import Recipe, RECIPES
from vidcls.engine.record import checkpoint_path, load_record
from vidcls.engine.run import recipe_identity, start_hash, table_hash
from vidcls.engine.transfer import TransferRows
from videos import tiny_config, variant, write_checkpoint, write_dataset
from vidcls.engine import trainer as trainer_module
from vidcls import model as model_module
from vidcls.synthetic import stick as stick_module

SHIPPED, MASKED = (Path(checkpoint_path(name)) for name in ("videomae-stick", "videomae-masked"))
MADE = json.loads((MASKED/"masked.json").read_text()) # The record of `videomae-masked`


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory): return write_checkpoint(tmp_path_factory.mktemp("geometry"), tiny_config())


@pytest.fixture
def recipe(checkpoint, data):
    return replace(P.MASKED, name="tiny", data=str(data), checkpoint=str(checkpoint), per_class=None, epochs=3, batch_size=2, precision=None)


@pytest.mark.parametrize("ratio", [.5, .75, .8, .9])
@pytest.mark.parametrize("kwargs", [{}, dict(image_size=64, patch_size=8, tubelet_size=4), dict(num_frames=16, tubelet_size=1)])
def test_tubes_hide_the_same_places_and_as_many_in_every_clip(ratio, kwargs):
    c = tiny_config(**kwargs)
    m = P.tube_masks(c, 6, ratio, torch.Generator().manual_seed(3)).reshape(6, c.num_frames//c.tubelet_size, -1)
    places = (c.image_size//c.patch_size)**2
    assert (m == m[:, :1]).all() and set(m[:, 0].sum(1).tolist()) == {min(round(ratio*places), places-1)}
    assert len({tuple(r) for r in m[:, 0].int().tolist()}) > 1


@pytest.mark.parametrize("ratio", [0, 1, -.1, 1.5])
def test_a_ratio_that_hides_nothing_or_all_is_refused(recipe, ratio, tmp_path):
    with pytest.raises(ValueError, match="between 0 and 1"): P.pretrain(recipe, tmp_path/"m", mask_ratio=ratio, progress=False)
    assert not (tmp_path/"m").exists()


@pytest.mark.parametrize("kwargs", [{}, dict(image_size=64, patch_size=8, tubelet_size=4, num_frames=16)])
def test_tubelets_are_those_of_transformers(kwargs):
    c = tiny_config(norm_pix_loss=False, **kwargs)
    torch.manual_seed(0)
    model, x = VideoMAEForPreTraining(c).eval(), torch.rand(2, c.num_frames, 3, c.image_size, c.image_size)
    m = P.tube_masks(c, 2, .75, torch.Generator().manual_seed(0))
    assert torch.equal(P.unpatchify(P.patchify(x, c), c), x)
    with torch.no_grad():
        out = model(x, bool_masked_pos=m)
        mean, std = (torch.tensor(v)[:, None, None] for v in ((.485, .456, .406), (.229, .224, .225)))
        goal = P.patchify(x*std + mean, c)[m].reshape(out.logits.shape) # what transformers compares with
        assert torch.allclose(out.loss, (out.logits - goal).square().mean(), atol=1e-5)
        c.norm_pix_loss = True
        assert torch.allclose(model(x, bool_masked_pos=m).loss, P.masked_loss(model, x, m, "normalised"), atol=1e-3)


def test_only_the_train_part_is_learned_from(data, tmp_path):
    table = P.unlabelled(data)
    assert set(table.path) == set(video_table(data).query("split == 'train'").path) and set(table.label) == {"video"}
    flat = tmp_path/"flat"; flat.mkdir()
    (flat/"a b.avi").write_bytes(Path(table.path[0]).read_bytes()); (flat/"notes.txt").write_text("no video")
    assert [Path(p).name for p in P.unlabelled(flat).path] == ["a b.avi"]


def test_pretraining_stores_what_made_it_and_can_be_fine_tuned(recipe, tmp_path):
    done = P.pretrain(recipe, tmp_path/"m", workers=0, progress=False)
    record = load_record(done.model_dir)
    assert {f.name for f in done.model_dir.iterdir()} == {"README.md", "config.json", "model.safetensors", "clip_spec.json",
                                                         "video_preprocessor_config.json", "vidcls.json"}
    assert record["losses"] == [list(l) for l in done.losses] and len(done.losses) == done.metrics["clips"]//2
    assert record["recipe"]["seed"] == 0 and record["versions"]["torch"] and record["data"] == {"name": "set"} and str(tmp_path) not in json.dumps(record)
    from vidcls.train import finetune
    f = finetune(replace(RECIPES["stick"], name="t", data=recipe.data, checkpoint=str(done.model_dir), from_scratch=False, epochs=1, batch_size=2), tmp_path/"f", workers=0, progress=False)
    assert f.metrics["videos"] == 4


def test_resume_gives_the_same_losses(recipe, tmp_path, monkeypatch):
    whole = P.pretrain(recipe, tmp_path/"whole", workers=0, progress=False)
    steps = len(whole.losses)//3
    real, n = P.masked_loss, []
    def dies(*args):
        n.append(0)
        if len(n) == 2*steps: raise KeyboardInterrupt # in the second epoch
        return real(*args)
    monkeypatch.setattr(P, "masked_loss", dies)
    with pytest.raises(KeyboardInterrupt): P.pretrain(recipe, tmp_path/"cut", workers=0, progress=False)
    monkeypatch.setattr(P, "masked_loss", real)
    done = P.pretrain(recipe, tmp_path/"cut", resume=True, workers=0, progress=False)
    assert done.losses == whole.losses
    a, b = (VideoMAEForPreTraining.from_pretrained(r.model_dir).state_dict() for r in (whole, done))
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 100.])
def test_a_loss_that_is_no_number_or_explodes_stops_and_keeps_the_checkpoint(recipe, tmp_path, monkeypatch, factor):
    real, n = P.masked_loss, []
    monkeypatch.setattr(P, "masked_loss", lambda *a: (n.append(0), real(*a)*(factor if len(n) == 5 else 1))[1])
    with pytest.raises(FloatingPointError, match="step 4, after .* last good checkpoint"): P.pretrain(recipe, tmp_path/"m", workers=0, progress=False)
    assert not (tmp_path/"m"/"model.safetensors").exists()
    [kept] = (tmp_path/"m"/"checkpoints").glob("checkpoint-*")
    assert all(v.isfinite().all() for v in VideoMAEForPreTraining.from_pretrained(kept).state_dict().values())
    monkeypatch.setattr(P, "masked_loss", real)
    assert len(P.pretrain(recipe, tmp_path/"m", resume=True, workers=0, progress=False).losses) == 3*len(P.unlabelled(recipe.data))//2


def test_a_finished_pretraining_is_not_done_again_and_another_one_is_refused(recipe, tmp_path, data):
    done = P.pretrain(recipe, tmp_path/"m", workers=0, progress=False)
    before = (tmp_path/"m"/"model.safetensors").stat().st_mtime_ns
    again = P.pretrain(recipe, tmp_path/"m", resume=True, workers=0, progress=False)
    assert (again.losses, again.metrics) == (done.losses, done.metrics) and (tmp_path/"m"/"model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="another run .mask_ratio was 0.75, is now 0.5"):
        P.pretrain(recipe, tmp_path/"m", mask_ratio=.5, resume=True, workers=0, progress=False)
    other = replace(recipe, data=str(write_dataset(tmp_path/"B"/"set", first=9))) # of the same name
    with pytest.raises(ValueError, match="another run .its videos"): P.pretrain(other, tmp_path/"m", resume=True, workers=0, progress=False)
    with pytest.raises(ValueError, match="another run .task was 'pretrain', is now 'finetune'"):
        T.finetune(recipe, tmp_path/"m", resume=True, workers=0, progress=False)
    assert (tmp_path/"m"/"model.safetensors").stat().st_mtime_ns == before


def test_making_the_checkpoint_goes_on_after_it_was_killed_before_its_first_whole_checkpoint(recipe, tmp_path, monkeypatch):
    r = replace(M.SUPERVISED, name="tiny", data=recipe.data, checkpoint=recipe.checkpoint, per_class=None, epochs=2, batch_size=2, precision=None)
    def killed(*args, **kwargs): raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr(trainer_module.ClipTrainer, "compute_loss", killed)
        with pytest.raises(KeyboardInterrupt): M.make_checkpoint(tmp_path/"m", r, workers=0, progress=False)
    assert (tmp_path/"m"/"checkpoints"/"run.json").is_file() and not list((tmp_path/"m"/"checkpoints").glob("checkpoint-*"))
    record = load_record(M.make_checkpoint(tmp_path/"m", r, workers=0, progress=False))
    assert record["data"] == {"name": "set"} and record["metrics"]["videos"] == 4


def test_shipping_goes_on_after_it_was_killed_anywhere(recipe, data, tmp_path, monkeypatch):
    "`make checkpoint` with tiny recipes, killed as each of its two trainings begins."
    masked = replace(recipe, name="masked", epochs=1)
    made = replace(recipe, name="moves", epochs=1, eval_clips=1)
    stick = replace(RECIPES["stick"], data=str(data), checkpoint=recipe.checkpoint, from_scratch=True, epochs=1, batch_size=2, eval_clips=1)
    calls, package = [], tmp_path/"package"
    def transfer(starts, r, folder, runs, **kwargs):
        calls.append(list(starts))
        folder.mkdir(exist_ok=True)
        for name in ("transfer.csv", "videos.csv"): (folder/name).write_text("start\n")
    monkeypatch.setattr(M, "transfer", transfer)
    ship = lambda: M.ship(package, tmp_path/"work", made, masked, stick, workers=0)
    def dies(self, *args, **kwargs): raise KeyboardInterrupt
    for cls in (P.MaskedTrainer, trainer_module.ClipTrainer):
        with monkeypatch.context() as m:
            m.setattr(cls, "train", dies)
            with pytest.raises(KeyboardInterrupt): ship()
    assert ship() == package and calls == [["random weights", "videomae-masked", "videomae-stick"], ["random weights, 4 times as long", "positional start"]]
    one, other = package/"videomae-masked", package/"videomae-stick"
    assert load_record(other)["recipe"]["name"] == "moves" and json.loads((one/"masked.json").read_text())["masking"] == "random"
    assert {f.name for f in other.iterdir()} == {"config.json", "model.safetensors", "vidcls.json", "transfer.csv", "videos.csv"}
    assert {f.name for f in one.iterdir()} == {"config.json", "model.safetensors", "masked.json", "preprocessor_config.json", "video_preprocessor_config.json"}
    a, b = (load_file(d/"model.safetensors") for d in (tmp_path/"work"/"masked", one))
    assert all(v.dtype == torch.half and torch.equal(a[k].half(), v) for k, v in b.items()) and a.keys() == b.keys()
    assert VideoMAEForPreTraining.from_pretrained(one).dtype == torch.float32 # As the config says


@pytest.mark.slow
def test_what_is_made_in_miniature_does_not_replace_what_ships():
    before = {f: f.stat().st_mtime_ns for d in (SHIPPED, MASKED) for f in d.iterdir()}
    p = subprocess.run([sys.executable, M.__file__, "--tiny"], capture_output=True, text=True)
    assert p.returncode == 2 and "name a folder with --package" in p.stderr
    assert all(f.stat().st_mtime_ns == t for f, t in before.items()) and M.PACKAGE == SHIPPED.resolve().parent


def test_a_transfer_that_was_interrupted_goes_on_with_its_training(recipe, data, tmp_path, monkeypatch):
    r = replace(RECIPES["stick"], name="t", data=str(data), checkpoint=recipe.checkpoint, from_scratch=True, epochs=2, batch_size=2, eval_clips=1)
    go = lambda starts={"random weights": None}: P.transfer(starts, r, tmp_path/"t", [(1., 0)], workers=0, progress=False)
    def killed(*args): raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr(T, "test_scores", killed)
        with pytest.raises(KeyboardInterrupt): go()
    first = {d.name: d.stat().st_mtime_ns for d in (tmp_path/"t"/"model"/"checkpoints").glob("checkpoint-*")}
    assert first and len(go().rows) == 1
    assert load_record(tmp_path/"t"/"model")["history"][-1]["step"] == 6


def test_a_transfer_keeps_which_videos_each_start_got_right(recipe, data, tmp_path):
    r = replace(RECIPES["stick"], name="t", data=str(data), checkpoint=recipe.checkpoint, from_scratch=True, epochs=1, batch_size=2, eval_clips=1)
    starts = {"random weights": None, "twice as long": dict(from_scratch=True, epochs=2)}
    done = P.transfer(starts, r, tmp_path, [(1., 0), (.5, 1)], workers=0, progress=False)
    assert len(done.rows) == 4 and done.rows.epochs.tolist() == [1, 2, 1, 3] and set(done.rows.changes) == {"", "epochs=2"}
    right = done.videos.groupby(["start", "share", "seed"]).correct
    rows = done.rows.set_index(["start", "share", "seed"])
    assert np.allclose(right.mean().loc[rows.index], rows.video_accuracy) and (right.size() == (video_table(data).split == "test").sum()).all()
    assert all((data/p).is_file() for p in done.videos.path)
    again = P.transfer(starts, r, tmp_path, [(1., 0)], workers=0, progress=False)
    assert len(again.rows) == 4 and len(again.videos) == len(done.videos)


def test_rows_of_other_weights_or_videos_of_the_same_name_are_not_taken(recipe, data, tmp_path):
    r = replace(RECIPES["stick"], name="t", data=str(data), checkpoint=recipe.checkpoint, from_scratch=True, epochs=1, batch_size=2, eval_clips=1)
    models = [write_checkpoint(tmp_path/k/"own", VideoMAEForPreTraining(tiny_config())) for k in "ab"]
    go = lambda model, recipe=r: P.transfer({"own": model}, recipe, tmp_path/"t", [(1., 0)], workers=0, progress=False)
    assert len(go(models[0]).rows) == len(go(models[0]).rows) == 1
    with pytest.raises(ValueError, match="rows for other weights that are also called 'own'"): go(models[1])
    with pytest.raises(ValueError, match="or other videos"): go(models[0], replace(r, data=str(write_dataset(tmp_path/"B"/Path(data).name, first=9))))


def test_rows_of_another_recipe_are_not_taken(recipe, data, tmp_path):
    r = replace(RECIPES["stick"], name="t", data=str(data), checkpoint=recipe.checkpoint, from_scratch=True, epochs=1, batch_size=2, eval_clips=1)
    table = P.transfer({"random weights": None}, r, tmp_path, [(1., 0)], workers=0, progress=False)
    before = (tmp_path/"transfer.csv").read_bytes()
    again = P.transfer({"random weights": None}, r, tmp_path, [(1., 0)], workers=0, progress=False)
    assert len(table.rows) == 1 and again.rows.to_csv() == table.rows.to_csv() and again.videos.to_csv() == table.videos.to_csv()
    with pytest.raises(ValueError, match="with another recipe"): P.transfer({"random weights": None}, replace(r, learning_rate=1e-2), tmp_path, [(.5, 0)], progress=False)
    assert (tmp_path/"transfer.csv").read_bytes() == before


def test_the_loss_and_the_config_must_agree():
    model = VideoMAEForPreTraining(tiny_config(norm_pix_loss=True))
    x, m = torch.zeros(1, 8, 3, 32, 32), P.tube_masks(model.config, 1)
    for target in ("pixels", "motion"):
        with pytest.raises(ValueError, match="norm_pix_loss=True"): P.masked_loss(model, x, m, target)
    with pytest.raises(ValueError, match="target must be one of"): P.masked_loss(model, x, m, "colour")


@pytest.mark.parametrize("mean", [.5, .45])
def test_reconstructions_are_in_the_clips_own_colours_whatever_the_processors_mean(mean):
    "A model that predicts one grey, in transformers' units, must come out as the grey that these units mean."
    spec, c = ClipSpec(8, .8, 32, mean=(mean,)*3, std=(.5,)*3), tiny_config(norm_pix_loss=False)
    model, clips = VideoMAEForPreTraining(c), torch.full((1, 8, 3, 32, 32), 100, dtype=torch.uint8)
    goal = (100/255 - mean)/.5*torch.tensor([.229, .224, .225]) + torch.tensor([.485, .456, .406]) # that clip, as transformers sees it
    with torch.no_grad():
        model.decoder.head.weight.zero_(); model.decoder.head.bias.copy_(goal.repeat(len(model.decoder.head.bias)//3))
    out = P.reconstruct(model, clips, P.tube_masks(c, 1, .75), spec)
    assert (out.int() - 100).abs().max() <= 1


def test_bad_videos_are_named_or_refused(recipe, data, tmp_path, caplog):
    root = tmp_path/"set"; shutil.copytree(data, root)
    bad = next((root/"train").glob("*/*.avi")); bad.write_bytes(b"no video")
    r = replace(recipe, data=str(root), epochs=1)
    with pytest.raises(VideoError, match=bad.name): P.pretrain(r, tmp_path/"s", strict=True, workers=0, progress=False)
    done = P.pretrain(r, tmp_path/"m", workers=0, progress=False)
    assert len(done.skipped) == 1 and bad.name in done.skipped[0] and "Left out: " in caplog.text
    assert load_record(done.model_dir)["skipped"] == [bad.name]


def test_another_family_is_refused(recipe, tmp_path):
    from transformers import TimesformerConfig
    TimesformerConfig(image_size=32, patch_size=16, num_frames=8).save_pretrained(tmp_path/"t")
    with pytest.raises(ValueError, match="only a VideoMAE can be pre-trained by masking"): P.pretrain(replace(recipe, checkpoint=str(tmp_path/"t")), tmp_path/"m")


# --- the moves ---

def test_no_actor_class_or_room_of_the_moves_is_in_stickucf():
    assert len(moves.MOVES) >= 30 and not set(moves.MOVES) & set(stick.CLASSES)
    mine = {stick_module.random_scene(np.random.default_rng([moves.WORD, 0, i, g]), n, moves.MOVES).texture
            for i, n in enumerate(moves.MOVES) for g in range(1, 9)}
    theirs = {stick.random_scene(np.random.default_rng([0, i, g]), n).texture for i, n in enumerate(stick.CLASSES) for g in range(1, 40)}
    assert not mine & theirs


def test_a_longer_set_begins_with_the_shorter_one(tmp_path):
    assert moves.plan_moves((3, 1, 1)) == moves.plan_moves((5, 1, 1))[:len(moves.plan_moves((3, 1, 1)))]
    c = moves.plan_moves((1, 0, 0))[7]
    a, b = (moves.film_move(tmp_path/k, c, 0).read_bytes() for k in "ab")
    assert a == b != moves.film_move(tmp_path/"c", c, 1).read_bytes()


# --- the checkpoints that ship ---

def as_json(recipe): return json.loads(json.dumps(asdict(recipe)))


@pytest.mark.parametrize("folder, most", [(SHIPPED, 8e6), (MASKED, 4e6)], ids=["stick", "masked"])
def test_a_shipped_checkpoint_is_small_and_safe(folder, most):
    files = list(folder.iterdir())
    assert sum(p.stat().st_size for p in files) <= most and {p.suffix for p in files} <= {".json", ".safetensors", ".csv"}


def test_the_shipped_checkpoints_explain_themselves():
    labelled = load_record(SHIPPED)
    for record, recipe in ((labelled, M.SUPERVISED), (MADE, P.MASKED)):
        assert record["data"] == json.loads(json.dumps(P.data_hash(recipe))), "the generator changed: run `make checkpoint`"
        assert as_json(Recipe(**record["recipe"])) == as_json(recipe) # fields that are newer than the record have their default
        assert record["versions"]["torch"] and record["metrics"]["seconds"] > 0
    assert not set(labelled["labels"]) & set(stick.CLASSES) and set(labelled["labels"]) == set(moves.MOVES)
    assert sum("loss" in h for h in labelled["history"]) > 100 and len(MADE["losses"]) > 1000 and "labels" not in MADE
    assert {k: MADE[k] for k in M.HIDE} == M.HIDE and MADE["metrics"]["last_loss"] < .009 # a third of the average clip's


def test_the_masked_checkpoint_is_a_start_for_fine_tuning_and_for_going_on():
    net = model_module.load_model("videomae-masked", {"a": 0, "b": 1})
    report = net.load_report
    assert net.dtype == torch.float32 and set(report.status[report.part == "encoder"]) == {"loaded"}
    again, spec = P.load_masked()
    assert spec == ClipSpec.from_checkpoint("videomae-stick", P.MASKED)
    assert torch.equal(again.videomae.encoder.layer[0].attention.attention.query.weight, net.videomae.encoder.layer[0].attention.attention.query.weight)


def test_the_shipped_table_knows_every_video():
    full, right = (pd.read_csv(SHIPPED/f"{name}.csv") for name in ("transfer", "videos"))
    key = ["start", "share", "seed"]
    assert set(full.share) == {1., .3, .1} and (full.videos == 75).all() and not full.duplicated(key).any()
    assert {"random weights", "videomae-masked", "videomae-stick"} <= set(full.start)
    assert set(full.weights[full.start == "videomae-masked"]) == {start_hash(replace(M.FINETUNING, checkpoint="videomae-masked"))}
    assert set(full.weights[full.start == "videomae-stick"]) == {start_hash(M.FINETUNING)}
    means = right.groupby(key).correct.agg(["mean", "size"])
    assert len(means) == len(full) and (means["size"] == 75).all()
    assert np.allclose(means["mean"].loc[full.set_index(key).index], full.video_accuracy)


def filmed_on_demand(recipe, root):
    "The table of a recipe's moves, and a data set class that films a clip when it is asked for."
    clips = {str(root/c.path): c for c in moves.plan_moves(recipe.per_class)}
    table = pd.DataFrame([dict(path=p, split=c.split, label=c.label, group=f"g{c.group:02}", clip="c01") for p, c in sorted(clips.items())])

    class Filmed(ClipDataset):
        def __getitem__(self, i):
            if not Path(path := self.table.path[i]).exists(): moves.film_move(root, clips[path], 0)
            return super().__getitem__(i)
    return table, Filmed


def test_the_first_masked_losses_are_found_again(tmp_path, monkeypatch):
    table, Filmed = filmed_on_demand(P.MASKED, tmp_path)
    table = table[table.split == "train"].assign(label="video").reset_index(drop=True)
    recorded = [v for _, v in MADE["losses"][:6]]
    trainer = P.masked_trainer(P.MASKED, table, tmp_path/"run", **M.HIDE, workers=0, disable_tqdm=True, max_steps=6, save_strategy="no",
                               warmup_steps=int(-(-len(table)//P.MASKED.batch_size)*P.MASKED.epochs*P.MASKED.warmup_ratio))
    trainer.train_dataset.__class__ = Filmed
    trainer.train()
    assert np.allclose([v for _, v in P.step_losses(trainer.state.log_history)], recorded, rtol=.02)


@variant
@pytest.mark.slow
def test_the_first_steps_find_the_recorded_losses_again(tmp_path, monkeypatch):
    "The very beginning of the run that made the checkpoint; only the clips of these steps are filmed."
    recipe, first = M.SUPERVISED, next(h for h in load_record(SHIPPED)["history"] if "loss" in h)
    table, Filmed = filmed_on_demand(recipe, tmp_path)

    class Enough(Exception): pass
    found = []
    class Stop(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs): found.append(logs["loss"]); raise Enough

    set_seed(recipe.seed)
    spec = ClipSpec.from_checkpoint(recipe.checkpoint, recipe)
    sets = T.make_datasets(table, spec, recipe)
    model = model_module.load_model(recipe.checkpoint, sets["train"].label2id, from_scratch=True)
    sets["train"].__class__ = Filmed
    args = trainer_module.training_arguments(recipe, tmp_path/"run", len(sets["train"]), workers=2, disable_tqdm=True)
    trainer = trainer_module.ClipTrainer(model, args, train_dataset=sets["train"], data_collator=T.collate_fn, spec=spec, callbacks=[Stop], eval_dataset=sets["val"])
    with pytest.raises(Enough): trainer.train()
    assert np.isclose(float(found[0]), float(first["loss"]), rtol=.02)


def test_new_settings_do_not_change_the_hash_of_tables_that_do_without(tmp_path, data):
    "The tables that ship were made before `drop_path`: their rows still count, and one with drop-path is another table's."
    table, recipe = video_table(data), replace(RECIPES["smoke"], data=str(data))
    older = {k: v for k, v in recipe_identity(recipe).items() if k != "drop_path"}
    was = hashlib.sha256(json.dumps([older, table_hash(table)], sort_keys=True).encode()).hexdigest()[:12]
    assert TransferRows(tmp_path/"a", recipe, table, {}).recipe == was
    assert TransferRows(tmp_path/"b", replace(recipe, drop_path=.2), table, {}).recipe != was
