"Fine-tuning on tiny models: what is loaded, kept, stored and refused."
import errno, gc, json, multiprocessing, os, shutil, sys, time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np, pytest, torch
from safetensors.torch import load_file, save_file
from transformers import Trainer, VideoMAEForPreTraining, VideoMAEForVideoClassification

from vidcls.clips import ClipDataset, ClipSpec, import_pytorchvideo
from vidcls.engine.video import VideoError
from vidcls.data import label_maps, video_table
from vidcls.infer import load_trained, predict, run_inference
from vidcls import train as T
from vidcls.masked import pretrain
from vidcls.engine.recipes import RECIPES
from vidcls.engine.record import checkpoint_path, load_record
from vidcls.engine.audit import prepare_table
from vidcls.engine.trainer import clip_flops, ClipTrainer, fit_batch, training_arguments
from vidcls.model import load_model
from vidcls.train import collate_fn, compute_metrics, finetune, FinetuneResult, make_datasets
from videos import tiny_config, write_checkpoint, write_dataset, write_video
from vidcls.engine import cache as cache_module
from vidcls.engine import machine as machine_module
from vidcls.engine import run as run_module
from vidcls.engine import trainer as trainer_module
from vidcls import model as model_module
from vidcls import share


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    "A random VideoMAE of the smallest size, saved with the published key names."
    torch.manual_seed(0)
    model = VideoMAEForPreTraining(tiny_config())
    for name, p in model.named_parameters():
        if name.endswith("bias"): torch.nn.init.normal_(p)
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), model)


@pytest.fixture
def recipe(checkpoint, data):
    return replace(RECIPES["stick"], name="tiny", data=str(data), checkpoint=str(checkpoint), from_scratch=False, epochs=2,
                   batch_size=2, eval_clips=2, sampling_rate=3)


def weights(trainer): return {k: v.clone() for k, v in trainer.model.state_dict().items()}


def trainer_for(recipe, out, **kwargs):
    spec = ClipSpec(8, .8, 32)
    sets = make_datasets(video_table(recipe.data), spec, recipe)
    torch.manual_seed(0)
    args = training_arguments(recipe, out, len(sets["train"]), **(dict(workers=0, disable_tqdm=True) | kwargs))
    return ClipTrainer(load_model(recipe.checkpoint, sets["train"].label2id), args, train_dataset=sets["train"],
                       eval_dataset=sets["val"], data_collator=collate_fn, compute_metrics=compute_metrics, spec=spec)


def test_finetune_leaves_a_folder_that_explains_itself(recipe, tmp_path):
    done = finetune(recipe, tmp_path/"model", workers=0, progress=False)
    assert isinstance(done, FinetuneResult) and done.metrics["videos"] == 4 and done.metrics["clips"] == 8 and not done.skipped
    assert {f.name for f in done.model_dir.iterdir()} == {"README.md", "config.json", "model.safetensors", "clip_spec.json",
                                                         "video_preprocessor_config.json", "vidcls.json"}
    record, spec = load_record(done.model_dir), ClipSpec.load(done.model_dir)
    assert record["recipe"]["data"] == "set" and record["recipe"]["seed"] == 0 and record["versions"]["transformers"]
    assert spec.num_frames == 8 and abs(spec.seconds - .8) < 1e-9 and spec.mean == (.5, .5, .5)
    assert record["interval"] is None and record["split"]["videos"]["test"] == 4 and record["split"]["shared_groups"] == 0
    card = (done.model_dir/"README.md").read_text()
    assert "fewer than eight groups" in card and " videos were used for training" in card
    assert card.startswith("---") and "4 videos" in card and str(tmp_path) not in card + json.dumps(record)
    # epochs are real epochs, and the model in the folder is the one that was tested
    assert [h["epoch"] for h in done.history if "eval_accuracy" in h] == [1.0, 2.0]
    test = video_table(recipe.data).query("split == 'test'")
    right = [predict(done.model_dir, p)[0]["label"] == l for p, l in zip(test.path, test.label)]
    assert sum(right)/4 == done.metrics["video_accuracy"]


def test_same_seed_same_model(recipe, tmp_path):
    a, b = (finetune(recipe, tmp_path/n, workers=w, progress=False) for n, w in (("a", 0), ("b", 2)))
    a, b = (load_trained(r.model_dir)[0].state_dict() for r in (a, b))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_resume_reloads_every_weight_and_ends_the_same(recipe, tmp_path):
    whole = trainer_for(recipe, tmp_path/"whole", save_total_limit=3)
    whole.train()
    again = trainer_for(recipe, tmp_path/"whole", save_total_limit=3)
    first = str(tmp_path/"whole"/"checkpoint-3")
    again._load_from_checkpoint(first)
    saved = type(again.model).from_pretrained(first).state_dict()
    assert all(torch.equal(v, saved[k]) for k, v in weights(again).items())
    again.train(resume_from_checkpoint=first)
    a, b = weights(whole), weights(again)
    assert max((a[k] - b[k]).abs().max().item() for k in a) < 1e-6


def test_training_sees_other_views_in_each_epoch(recipe, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("vidcls.transforms.ClipTransform.view", lambda self, info, rng=None, _f=None: seen.append(rng.random()) or __import__("vidcls.clips").clips.View())
    trainer_for(recipe, tmp_path).train()
    assert len(seen) == 12 and len(set(seen)) == 12


def test_bad_videos_are_named_and_left_out_or_refused(recipe, data, tmp_path):
    root = write_dataset(tmp_path/"set")
    (root/"train"/"Nod"/"v_Nod_g77_c01.avi").write_text("no film")
    spec = ClipSpec(8, .8, 32)
    with pytest.warns(UserWarning, match="1 of 13 videos.*left out(.|\n)*v_Nod_g77_c01.avi is not a readable video"):
        good, bad = prepare_table(video_table(root), spec, progress=False)
    assert len(good) == 12 and len(bad) == 1
    with pytest.raises(VideoError, match="1 of 13.*v_Nod_g77"): prepare_table(video_table(root), spec, strict=True, progress=False)


@pytest.mark.parametrize("train", [finetune, pretrain])
def test_videos_with_few_frames_are_taken_and_named_or_refused(recipe, tmp_path, caplog, train):
    root = write_dataset(tmp_path/"set")
    write_video(root/"train"/"Nod"/"v_Nod_g77_c01.avi", frames=3)
    r = replace(recipe, data=str(root), epochs=1)
    done = train(r, tmp_path/"m", workers=0, progress=False)
    assert "1 of " in (said := caplog.text) and "have fewer frames than a clip, so some frames are repeated: v_Nod_g77_c01.avi." in said
    assert load_record(done.model_dir)["repeated_frames"] == [["v_Nod_g77_c01.avi", 5]] and not done.skipped
    with pytest.raises(VideoError, match="v_Nod_g77_c01.avi has 3 frames"): train(r, tmp_path/"s", strict=True, workers=0, progress=False)
    assert train(r, tmp_path/"n", check="none", workers=0, progress=False).metrics["videos"]


def test_data_without_splits_is_split_by_group(tmp_path, caplog):
    caplog.set_level("INFO", "vidcls")
    for label in ("Nod", "Wave"):
        for g in range(6): write_video(tmp_path/"set"/label/f"v_{label}_g{g:02}_c01.avi", 40)
    good, _ = prepare_table(video_table(tmp_path/"set"), ClipSpec(8, .8, 32), progress=False)
    assert "by group" in caplog.text and set(good.split) == {"train", "val", "test"}


def test_a_split_that_is_missing_is_named(recipe, tmp_path):
    root = write_dataset(tmp_path/"set", per_split=dict(train=2, test=1))
    with pytest.raises(ValueError, match="no val videos"): make_datasets(video_table(root), ClipSpec(8, .8, 32), recipe)


def test_a_folder_with_other_things_is_not_written_to(recipe, tmp_path):
    (tmp_path/"thesis.tex").write_text("three years of work")
    with pytest.raises(ValueError, match="not empty"): finetune(recipe, tmp_path, progress=False)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def test_resuming_where_there_is_nothing_yet_begins(recipe, tmp_path):
    fresh = finetune(recipe, tmp_path/"fresh", workers=0, progress=False)
    done = finetune(recipe, tmp_path/"new", resume=True, workers=0, progress=False)
    assert done.metrics | dict(seconds=0) == fresh.metrics | dict(seconds=0)


def test_a_label_that_the_model_does_not_know(data):
    with pytest.raises(ValueError, match="does not know the label 'Nod': it knows Wave"):
        ClipDataset(video_table(data), ClipSpec(8, .8, 32), label2id={"Wave": 0})


def test_wrong_number_of_frames(checkpoint):
    model = load_model(str(checkpoint), {"a": 0, "b": 1})
    with pytest.raises(ValueError, match="takes 8 frames, but this clip has 16"):
        run_inference(model, torch.zeros(16, 3, 32, 32, dtype=torch.uint8), ClipSpec(size=32))


def test_labels_are_numbered_over_all_splits(tmp_path):
    "A class that is missing from val must not shift the others."
    root = write_dataset(tmp_path/"set", classes=("A", "B", "C"), frames=20)
    for f in (root/"val"/"A").iterdir(): f.unlink()
    (root/"val"/"A").rmdir()
    sets = make_datasets(video_table(root), ClipSpec(8, .8, 32), RECIPES["stick"])
    assert sets["val"].label2id == {"A": 0, "B": 1, "C": 2} == label_maps("ABC")[0]
    assert [sets["val"].label2id[l] for l in sets["val"].table.label] == [1, 2]


def test_a_folder_with_checkpoints_of_others_is_left_alone(recipe, tmp_path):
    theirs = tmp_path/"proj"/"checkpoints"/"my_gpt.pt"
    theirs.parent.mkdir(parents=True); theirs.write_text("weights")
    with pytest.raises(ValueError, match="does not contain a model of vidcls"): finetune(recipe, tmp_path/"proj", workers=0, progress=False)
    with pytest.raises(ValueError, match="does not contain a model of vidcls"): pretrain(recipe, tmp_path/"proj", workers=0, progress=False)
    assert theirs.read_text() == "weights"
    (tmp_path/"new"/"checkpoints").mkdir(parents=True) # of a run that stopped before its first step
    assert run_module.Run(tmp_path/"new").claim()


def test_a_finished_run_has_nothing_to_resume_and_one_of_nobody_is_refused(recipe, tmp_path):
    done = finetune(recipe, tmp_path/"m", workers=0, progress=False)
    before = (tmp_path/"m"/"model.safetensors").stat().st_mtime_ns
    again = finetune(recipe, tmp_path/"m", resume=True, workers=0, progress=False)
    assert again.metrics == done.metrics and again.history == done.history and (tmp_path/"m"/"model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="another run .seed was 0, is now 7"): finetune(replace(recipe, seed=7), tmp_path/"m", resume=True, workers=0, progress=False)
    other = finetune(replace(recipe, seed=7), tmp_path/"m", resume=True, overwrite=True, workers=0, progress=False)
    assert load_record(other.model_dir)["recipe"]["seed"] == 7


def test_a_checkpoint_that_was_half_removed_is_not_resumed(recipe, tmp_path):
    trainer = trainer_for(recipe, tmp_path/"checkpoints")
    trainer.train()
    [*_, last] = sorted((tmp_path/"checkpoints").glob("checkpoint-*"))
    assert run_module.Run(tmp_path).last_checkpoint
    for d in (tmp_path/"checkpoints").glob("checkpoint-*"): (d/"optimizer.pt").unlink()
    assert run_module.Run(tmp_path).last_checkpoint is None


@pytest.mark.parametrize("files", range(7))
def test_a_model_folder_killed_while_it_was_replaced_does_not_load(recipe, tmp_path, monkeypatch, files):
    done = finetune(replace(recipe, epochs=1), tmp_path/"m", workers=0, progress=False)
    model, spec = load_trained(done.model_dir)
    (done.model_dir/".saving-cut").mkdir()
    with torch.no_grad(): [p.zero_() for p in model.parameters()]
    real, left = os.replace, [files]
    class Killed(BaseException): pass
    def replacing(a, b):
        if not left[0]: raise Killed
        left[0] -= 1; real(a, b)
    monkeypatch.setattr(os, "replace", replacing)
    record = load_record(done.model_dir)
    try: run_module.Run(done.model_dir).save(model, model_module.make_processor(spec, recipe.checkpoint), spec, record)
    except Killed:
        assert not load_record(done.model_dir) and not list(done.model_dir.glob(".saving-*"))
        if files < 5:
            with pytest.raises((OSError, ValueError)): load_trained(done.model_dir)
    else: assert files == 6 and load_record(done.model_dir) == record


@pytest.mark.parametrize("rate", [0, -1., float("nan"), float("inf")])
def test_a_learning_rate_is_a_number_above_zero(recipe, rate):
    with pytest.raises(ValueError, match="learning_rate must be above 0"): replace(recipe, learning_rate=rate)


def interrupt(recipe, folder, monkeypatch, train=finetune, at="vidcls.train.test_scores"):
    "A training that is stopped there."
    def killed(*args): raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr(at, killed)
        with pytest.raises(KeyboardInterrupt): train(recipe, folder, workers=0, progress=False)
    return folder


def test_resume_refuses_another_run(recipe, tmp_path, monkeypatch):
    interrupt(recipe, tmp_path/"model", monkeypatch)
    with pytest.raises(ValueError, match="another run .seed was 0, is now 7"):
        finetune(replace(recipe, seed=7), tmp_path/"model", resume=True, workers=0, progress=False)
    done = finetune(recipe, tmp_path/"model", resume=True, workers=0, progress=False)
    assert [h["epoch"] for h in done.history if "eval_accuracy" in h] == [1.0, 2.0]


@pytest.mark.parametrize("train, at", [(finetune, "vidcls.train.test_scores"), (pretrain, "vidcls.masked.step_losses")])
def test_an_interrupted_run_is_not_thrown_away_by_a_forgotten_option(recipe, tmp_path, monkeypatch, train, at):
    if train is pretrain: monkeypatch.setattr("vidcls.masked.MaskedTrainer._write", lambda *a: None)
    folder = interrupt(recipe, tmp_path/"m", monkeypatch, train, at)
    left = {f: f.stat().st_mtime_ns for f in folder.rglob("*")}
    assert any(f.name == "model.safetensors" for f in left)
    with pytest.raises(ValueError, match="interrupted run: .*--resume.*--overwrite"): train(recipe, folder, workers=0, progress=False)
    assert {f: f.stat().st_mtime_ns for f in folder.rglob("*")} == left
    if train is pretrain: monkeypatch.undo()
    assert train(recipe, folder, overwrite=True, workers=0, progress=False).metrics["videos"]
    assert not (folder/"checkpoints").exists() and load_record(folder)["metrics"]


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_is_known_by_its_videos_and_by_the_weights_it_starts_from(recipe, tmp_path, monkeypatch, finished):
    "Folders of the same name with the same labels, and checkpoints of the same name, are not the same; a copy is."
    a, b = (replace(recipe, data=str(write_dataset(tmp_path/k/"set", first=n))) for k, n in (("A", 0), ("B", 9)))
    weights, name = load_file(f"{recipe.checkpoint}/model.safetensors"), Path(recipe.checkpoint).name
    other = replace(a, checkpoint=str(shutil.copytree(recipe.checkpoint, tmp_path/"other"/name)))
    same = replace(a, checkpoint=str(shutil.copytree(recipe.checkpoint, tmp_path/"same"/name)), data=str(shutil.copytree(a.data, tmp_path/"C"/"set")))
    a = replace(a, checkpoint=str(shutil.copytree(recipe.checkpoint, tmp_path/"first"/name)))
    save_file({k: v + .01 for k, v in weights.items()}, f"{other.checkpoint}/model.safetensors", metadata=dict(format="pt"))
    folder = tmp_path/"m"
    done = finetune(a, folder, workers=0, progress=False) if finished else interrupt(a, folder, monkeypatch)
    for r, why in ((b, "its videos, or their labels, splits or groups, are different"), (other, "it starts from other weights")):
        with pytest.raises(ValueError, match=f"another run .{why}"): finetune(r, folder, resume=True, workers=0, progress=False)
    again = finetune(same, folder, resume=True, workers=0, progress=False)
    if finished: assert again.history == done.history
    else: assert max(h["step"] for h in again.history) == 6 # It went on, and did not begin again
    assert str(tmp_path) not in (folder/"vidcls.json").read_text()


def test_random_weights_are_told_apart_by_their_configuration_alone(recipe, tmp_path):
    "With `from_scratch` the checkpoint's weights do not matter."
    other = shutil.copytree(recipe.checkpoint, tmp_path/"other")
    save_file({k: v + .01 for k, v in load_file(other/"model.safetensors").items()}, other/"model.safetensors", metadata=dict(format="pt"))
    r = replace(recipe, checkpoint=str(other))
    assert run_module.start_hash(r) != run_module.start_hash(recipe)
    assert run_module.start_hash(replace(r, from_scratch=True)) == run_module.start_hash(replace(recipe, from_scratch=True))


@pytest.mark.parametrize("column, value", [("label", "Wave"), ("split", "val"), ("group", "g99")])
def test_a_run_on_other_labels_splits_or_groups_is_another_one(data, column, value):
    table = video_table(data)
    assert run_module.table_hash(table.sample(frac=1, random_state=1)) == run_module.table_hash(table)
    changed = table.copy(); changed.loc[0, column] = value
    assert run_module.table_hash(changed) != run_module.table_hash(table) != run_module.table_hash(table.iloc[1:])


def test_a_finished_run_whose_checkpoints_were_not_all_removed_is_not_trained_again(recipe, tmp_path, monkeypatch):
    done = finetune(recipe, tmp_path/"m", workers=0, progress=False)
    checkpoints = tmp_path/"m"/"checkpoints"; checkpoints.mkdir()
    run = {k: v for k, v in load_record(tmp_path/"m").items() if k in ("task", "recipe", "videos_hash", "start_hash")}
    (checkpoints/"run.json").write_text(json.dumps(run)) # `_forget` was killed before its last step
    assert finetune(recipe, tmp_path/"m", resume=True, workers=0, progress=False).history == done.history


def test_a_changed_spec_is_not_taken_from_memory(recipe, tmp_path):
    model = finetune(replace(recipe, epochs=1), tmp_path/"model", workers=0, progress=False).model_dir
    path = video_table(recipe.data).path[0]
    before = predict(model, path)
    spec = replace(ClipSpec.load(model), seconds=.4)
    spec.save(model)
    assert predict(model, path) != before
    (model/"clip_spec.json").write_text('{"frames": 16}')
    with pytest.raises(ValueError, match="clip_spec.json is not a ClipSpec"): predict(model, path)


@pytest.mark.parametrize("field, value", [("epochs", 0), ("batch_size", 0), ("eval_clips", 0), ("seed", -1)])
def test_counts_that_cannot_be_are_refused_at_once(recipe, field, value):
    with pytest.raises(ValueError, match=f"{field} must be at least"): replace(recipe, **{field: value})


# --- speed, options ---

def test_the_log_says_how_fast_and_who_waits(recipe, tmp_path):
    trainer = trainer_for(recipe, tmp_path, logging_steps=1)
    trainer.train()
    log = [h for h in trainer.state.log_history if "loss" in h]
    assert len(log) == 6 and all(h["clips_per_second"] > 0 and 0 <= h["data_wait"] <= 1 and 0 <= h["mfu"] < 1.5 for h in log)


def test_the_processes_that_read_clips_end_with_the_work(recipe, tmp_path):
    trainer = trainer_for(recipe, tmp_path, workers=1)
    seen, evaluate = [], trainer.evaluate
    def looked(*a, **k): # also at other videos, as a callback may in the middle of a training
        scores = evaluate(*a, **k)
        trainer.predict(trainer.eval_dataset)
        seen.append(len(multiprocessing.active_children()))
        return scores
    trainer.evaluate = looked
    for work in (trainer.train, trainer.evaluate, lambda: trainer.predict(trainer.eval_dataset), trainer.train):
        work()
        assert not multiprocessing.active_children()
    assert max(seen) >= 2 and seen.count(0) == 1 # Within a training those of all loaders stay


def test_the_processes_that_read_clips_leave_alone_what_they_inherit(recipe, tmp_path):
    "Where processes are forked, each freezes it first; this process is not touched."
    if (multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]) != "fork": pytest.skip("processes are not forked here")
    def frozen(examples): return {"labels": torch.tensor([gc.get_freeze_count()])}
    trainer = trainer_for(recipe, tmp_path, workers=1)
    trainer.data_collator = frozen
    for loader in (trainer.get_train_dataloader(), trainer.get_eval_dataloader()): assert next(iter(loader))["labels"].min() > 1000
    assert gc.get_freeze_count() == 0


@pytest.mark.slow
def test_a_slow_loader_shows_as_waiting_and_evaluation_does_not(recipe, tmp_path, monkeypatch):
    trainer = trainer_for(recipe, tmp_path, logging_steps=1)
    real, wait = ClipDataset.__getitem__, .5
    monkeypatch.setattr(ClipDataset, "__getitem__", lambda self, i: (time.sleep(wait if self.transform else 0.), real(self, i))[1])
    trainer._clip_flops(); trainer._machine() # measured once, not part of any step
    monkeypatch.setattr(Trainer, "evaluate", lambda self, *a, **k: (time.sleep(2), dict(eval_accuracy=0., eval_loss=0.))[1])
    trainer.train()
    log = [h for h in trainer.state.log_history if "loss" in h][1:]
    # accelerate fetches one batch ahead: the last step of an epoch waits for nothing, the first for two
    assert np.mean([h["data_wait"] for h in log]) > .4 and min(h["clips_per_second"] for h in log) > .5


def test_flops_are_those_of_a_matrix_product():
    class One(torch.nn.Module):
        def __init__(self): super().__init__(); self.w = torch.nn.Linear(8*3*32*32, 10, bias=False)
        device, dtype = torch.device("cpu"), torch.float32
        def forward(self, pixel_values): return self.w(pixel_values.flatten(1))
    assert clip_flops(One(), ClipSpec(8, .8, 32)) == 3*2*8*3*32*32*10


def test_flops_do_not_depend_on_how_attention_is_computed():
    "The counter skips the fused attention of a CPU: a fifth of a small model's operations were missing."
    spec, counted = ClipSpec(8, .8, 32), {}
    for how in ("eager", "sdpa"):
        net = VideoMAEForVideoClassification._from_config(tiny_config(), attn_implementation=how)
        counted[how] = clip_flops(net, spec)
        with torch.device("meta"): assert clip_flops(VideoMAEForVideoClassification(net.config), spec) == counted[how]
    assert counted["eager"] == counted["sdpa"] > 0


def test_lower_layers_take_smaller_steps(recipe, tmp_path):
    trainer = trainer_for(recipe, tmp_path)
    trainer.layer_decay = .5
    groups = trainer.create_optimizer().param_groups
    names = {p: n for n, p in trainer.model.named_parameters()}
    rate = {names[p]: g["lr"] for g in groups for p in g["params"]}
    top = recipe.learning_rate
    assert rate["classifier.weight"] == top and len(rate) == len(names)
    assert rate["videomae.embeddings.patch_embeddings.projection.weight"] == top*.5**3
    assert {v for n, v in rate.items() if "layer.0." in n} == {top*.5**2} and {v for n, v in rate.items() if "layer.1." in n} == {top*.5}
    decay = {names[p]: g["weight_decay"] for g in groups for p in g["params"]}
    assert decay["classifier.bias"] == 0 and decay["classifier.weight"] == recipe.weight_decay


def test_blended_clips_are_pytorchvideos_and_fill_ups_do_not_count(recipe, tmp_path):
    trainer = trainer_for(recipe, tmp_path)
    _, TV = import_pytorchvideo()
    trainer._mix = TV.MixVideo(num_classes=2)
    x, y = torch.rand(4, 8, 3, 32, 32), torch.tensor([0, 1, 1, -100])
    torch.manual_seed(0); ours, soft = trainer._mixed(x, y)
    torch.manual_seed(0); theirs, labels = TV.MixVideo(num_classes=2)(x.transpose(1, 2), y.clamp(min=0))
    assert torch.equal(ours, theirs.transpose(1, 2)) and torch.equal(soft[:3], labels[:3]) and not soft[3].any()
    trainer.model.train()
    inputs = trainer._prepare_inputs(dict(pixel_values=(x*255).byte(), labels=y))
    logits = trainer.model(inputs["pixel_values"]).logits
    want = -(inputs["labels"]*logits.log_softmax(-1)).sum()/3
    assert torch.isclose(trainer.compute_loss(trainer.model, inputs, num_items_in_batch=torch.tensor(3)), want)


def test_options_that_make_no_sense_are_refused(recipe):
    for bad in (0, 1.5, -1):
        with pytest.raises(ValueError, match="layer_decay"): replace(recipe, layer_decay=bad)


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_a_frame_cache_changes_nothing_but_the_time(recipe, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    plain = finetune(recipe, tmp_path/"plain", workers=0, progress=False)
    kept = finetune(recipe, tmp_path/"kept", workers=0, progress=False, cache=kind)
    a, b = (load_file(r.model_dir/"model.safetensors") for r in (plain, kept))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert (len(list((tmp_path/"home"/"frames").glob("*.times.npy"))) == 12) == (kind == "disk")


def test_a_run_with_small_kept_frames_goes_on_only_with_them(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    small = finetune(recipe, tmp_path/"small", workers=0, progress=False, cache="disk-small")
    files = [f for f in (tmp_path/"home"/"frames").glob("*.npy") if not f.name.endswith(".times.npy")]
    assert len(files) == 8 and {min(np.load(f, mmap_mode="r").shape[1:3]) for f in files} == {38} # 32/.85; test videos are read in full
    assert load_record(small.model_dir)["kept_frames"] == 38
    again = finetune(recipe, tmp_path/"small", workers=0, progress=False, cache="ram-small", resume=True)
    assert again.metrics == small.metrics
    for kind in (None, "ram"):
        with pytest.raises(ValueError, match="another run .kept_frames was 38, is now None"):
            finetune(recipe, tmp_path/"small", workers=0, progress=False, cache=kind, resume=True)


def test_a_cache_of_no_kind_is_refused_before_anything_is_done(recipe, tmp_path):
    with pytest.raises(ValueError, match="cache must be ram, disk, ram-small, disk-small or None, not 'gpu'"): finetune(recipe, tmp_path/"model", cache="gpu")
    assert not (tmp_path/"model").exists()


@pytest.mark.parametrize("room, wanted", [(9, (8, False)), (8, (8, False)), (7, (4, False)), (3, (2, False)), (1, (1, False)), (.5, (2, True)), (.2, (1, True))])
def test_the_largest_part_of_a_batch_that_fits_is_found(monkeypatch, room, wanted):
    "A device with room for so many clips; with checkpointing a clip takes a fifth."
    model = load_model(checkpoint_path("videomae-stick"), {"a": 0, "b": 1})
    state, seen = torch.get_rng_state(), []
    def step(model, spec, clips, half):
        torch.rand(3); seen.append(clips)
        if clips*(.2 if model.is_gradient_checkpointing else 1) > room: raise torch.OutOfMemoryError
    monkeypatch.setattr(trainer_module, "_try_step", step)
    assert fit_batch(model, ClipSpec(16, 1., 64), 8) == wanted and torch.equal(state, torch.get_rng_state())
    assert model.is_gradient_checkpointing == wanted[1] and all(p.grad is None for p in model.parameters())


def test_a_clip_that_never_fits_is_an_error(monkeypatch):
    def step(*args): raise torch.OutOfMemoryError
    monkeypatch.setattr(trainer_module, "_try_step", step)
    with pytest.raises(MemoryError, match="Not even one clip of 16"): fit_batch(load_model(checkpoint_path("videomae-stick"), {"a": 0}), ClipSpec(16, 1., 64), 4)


def test_parts_of_a_batch_learn_what_the_batch_learns(recipe, tmp_path):
    r = replace(recipe, epochs=2, batch_size=4)
    whole = finetune(r, tmp_path/"whole", workers=0, progress=False)
    parts = finetune(r, tmp_path/"parts", workers=0, progress=False, per_device_train_batch_size=2, gradient_accumulation_steps=2, gradient_checkpointing=True)
    a, b = (load_file(x.model_dir/"model.safetensors") for x in (whole, parts))
    assert all(torch.allclose(a[k], b[k], atol=2e-5) for k in a)


@pytest.mark.parametrize("changes, licence, says", [
    (dict(), "apache-2.0", "generated"),
    (dict(data="my_videos"), "other", "Ask the owner of the training videos"),
    (dict(checkpoint="a folder"), "other", "generated"),
    (dict(data=RECIPES["ucf101"].data), "other", "UCF101 states no licence"),
    (dict(checkpoint="MCG-NJU/videomae-base", data="my_videos"), "cc-by-nc-4.0", "Ask the owner of the training videos"),
    (dict(checkpoint="facebook/vjepa2-vitl-fpc16-256-ssv2"), "mit", "V-JEPA 2's published weights are MIT"),
    (dict(checkpoint="facebook/timesformer-base-finetuned-k400"), "cc-by-nc-4.0", "TimeSformer's published weights"),
    (dict(checkpoint="MCG-NJU/videomae-base", from_scratch=True), "other", "generated")])
def test_a_card_claims_no_licence_that_nobody_gave(changes, licence, says):
    scores = dict(video_accuracy=1., videos=1, clip_accuracy=1., clips=1)
    card = share.model_card(dict(recipe=asdict(replace(RECIPES["stick"], **changes)), labels=["a", "b"], metrics=scores))
    assert f"\nlicense: {licence}\n" in card and says in card.partition("## Licence")[2].partition("## Recipe")[0]


def test_a_card_shows_what_classes_were_taken_for():
    "From the record alone, with every name as text; a record without the counts gives no table."
    record = dict(recipe=asdict(RECIPES["stick"]), labels=["<b>|", "Nod"], metrics=dict(video_accuracy=.5, videos=4, clip_accuracy=.5, clips=4))
    card = share.model_card(record | dict(confusions={"<b>|": {"<b>|": 1, "Nod": 2}, "Nod": {"Nod": 1}}))
    assert "| &lt;b&gt;&#124; | 3 | 1 | Nod (2) |\n| Nod | 1 | 1 |  |" in card and "<b>" not in card
    assert "| class |" not in share.model_card(record)


def test_small_classes_are_shown_as_often_as_large_ones_in_training_alone(recipe, data):
    table = video_table(data)
    first = table.index[(table.split == "train") & (table.label == "Nod")][1:]
    uneven = table.drop(first) # One video of Nod is left
    spec = ClipSpec(8, .8, 32)
    plain, even = (T.make_datasets(uneven, spec, replace(recipe, balance=b)) for b in (False, True))
    counts = lambda sets, s: sets[s].table.label.value_counts().to_dict()
    assert len(set(counts(plain, "train").values())) == 2 and len(set(counts(even, "train").values())) == 1
    assert set(even["train"].paths) == set(plain["train"].paths)
    assert all(counts(even, s) == counts(plain, s) for s in ("val", "test"))
    again = [i for i, label in enumerate(even["train"].table.label) if label == "Nod"][:2]
    assert not torch.equal(*(even["train"][i]["pixel_values"] for i in again)) # Another view each time


SPLIT = dict(videos=dict(train=30, val=6, test=10), groups=dict(train=20, val=5, test=9), shared_groups=0)


@pytest.mark.parametrize("more, says, does_not_say", [
    (dict(), ["**0.900** over 10 videos."], ["interval", "group", "used for training"]),  # A record of an older version
    (dict(interval=[.6, .98], split=SPLIT), ["interval 0.600 to 0.980, computed over 9 groups", "30 videos were used for training",
                                             "divided by group"], ["probably lower"]),
    (dict(interval=None, split=SPLIT), ["fewer than eight groups"], [" to 0."]),
    (dict(interval=None, split=SPLIT | dict(shared_groups=2)), ["Of the test's 9 groups, 2 are also", "probably lower"], ["divided by group"]),
    (dict(interval=None, split=SPLIT | dict(groups=SPLIT["videos"])), ["does not say which videos come from the same recording"],
     ["divided by group"])])
def test_a_card_says_how_sure_its_accuracy_is_and_how_the_videos_were_divided(more, says, does_not_say):
    scores = dict(video_accuracy=.9, videos=10, clip_accuracy=.8, clips=30)
    text = share.model_card(dict(recipe=asdict(RECIPES["stick"]), labels=["a", "b"], metrics=scores, **more))
    text = text.partition("## How good it is")[2].partition("## How to use it")[0]
    assert [s for s in says if s not in text] == [] == [s for s in does_not_say if s in text], text


@pytest.mark.parametrize("changes, says", [
    (dict(), "This model was made from videomae-stick by fine-tuning it with vidcls on StickUCF, a generated data set."),
    (dict(data="my_videos"), "fine-tuning it with vidcls on the data set my_videos."),
    (dict(from_scratch=True), "This model has the layer sizes of videomae-stick and was trained with vidcls from random weights on StickUCF")])
def test_a_card_says_in_a_sentence_what_the_model_was_made_from(changes, says):
    scores = dict(video_accuracy=.9, videos=10, clip_accuracy=.8, clips=30)
    assert says in share.model_card(dict(recipe=asdict(replace(RECIPES["stick"], **changes)), labels=["a"], metrics=scores))


# --- what the machine and the network say ---

@pytest.mark.parametrize("precision, tf32", [("fp32", False), ("bf16", True), (None, True)])
def test_full_precision_means_that_tf32_is_off(recipe, tmp_path, monkeypatch, precision, tf32):
    "On a GPU that has bfloat16; TF32 keeps 10 of a float's 23 bits."
    monkeypatch.setattr(trainer_module, "half_precision", lambda: "bf16")
    monkeypatch.setattr(trainer_module, "TrainingArguments", lambda **kwargs: kwargs)
    assert training_arguments(replace(recipe, precision=precision), tmp_path, 6, workers=0)["tf32"] is tf32


def test_a_cpu_that_would_emulate_bfloat16_trains_in_float32_and_says_so(recipe, tmp_path, monkeypatch, caplog):
    "Emulated, a step takes more than ten times as long."
    from vidcls.engine import machine
    half = replace(recipe, precision="bf16")
    monkeypatch.setattr(machine, "get_device", lambda: "cpu")
    monkeypatch.setattr(machine, "cpu_has_bfloat16", lambda: False)
    with caplog.at_level("WARNING"): assert not training_arguments(half, tmp_path, 6, workers=0).bf16
    assert "training in float32 instead" in caplog.text
    monkeypatch.setattr(machine, "cpu_has_bfloat16", lambda: True)
    caplog.clear()
    with caplog.at_level("WARNING"): assert training_arguments(half, tmp_path, 6, workers=0).bf16
    assert not caplog.text


SHARED_MEMORY = [
    "unable to write to file </torch_4711_123_0>: No space left on device (28)",
    "unable to allocate shared memory(shm) for file </torch_4711_123_0>: No space left on device (28)",
    "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
    "RuntimeError: unable to write to file </torch_4711_123_0>: No space left on device (28)",
    "DataLoader worker (pid 42) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory. "
    "Please try to raise your shared memory limit."]


@pytest.mark.parametrize("text", SHARED_MEMORY)
def test_too_little_shared_memory_is_not_a_full_disk(text):
    with pytest.raises(OSError, match="/dev/shm.*--workers 0") as e:
        with machine_module.disk_errors("m"): raise RuntimeError(text)
    assert "disk" not in str(e.value)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("I/O error: No space left on device (os error 28)"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 832 vs 726")])
def test_a_full_disk_is_still_one(error):
    with pytest.raises(OSError, match="The disk is full while writing to m"):
        with machine_module.disk_errors("m"): raise error


def test_a_mistake_in_the_program_is_not_blamed_on_the_network(recipe, tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub import errors
    (tmp_path/"vidcls.json").write_text('{"recipe": {}, "metrics": {}}')
    def push(error, cause=None):
        def fails(*args, **kwargs): raise error from cause
        monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", fails)
        share.push_model(tmp_path, "me/it", token="hf_x")
    for bug in (TypeError("create_repo() got an unexpected keyword"), KeyError("visibility"), RuntimeError("no such state")):
        with pytest.raises(type(bug)): push(bug)
    for trouble in ((ConnectionError("connection refused"),), (errors.HTTPError("name resolution failed"),), (TimeoutError("timed out"),),
                    (RuntimeError("Error while uploading 'model.safetensors' to the Hub."), ConnectionError("connection reset"))):
        with pytest.raises(OSError, match="Could not push to me/it: .*(refused|resolution|timed out|reset)"): push(*trouble)


def test_memory_for_frames_is_given_back_after_the_training(recipe, tmp_path):
    if not Path("/dev/shm").is_dir(): pytest.skip("this system has no /dev/shm")
    before, real, made = set(Path("/dev/shm").glob("vidcls-frames-*")), cache_module.frame_cache, []
    def watched(kind, **how):
        made.append(real(kind, **how))
        return made[-1]
    with pytest.MonkeyPatch.context() as m:
        m.setattr(T, "frame_cache", watched)
        finetune(replace(recipe, epochs=1), tmp_path/"a", workers=0, progress=False, cache="ram")
    assert made[0].folder not in before and not made[0].folder.exists()


@pytest.mark.parametrize("policy, said", [("PASSIVE", False), ("", True)])
def test_threads_that_spin_beside_readers_are_named(policy, said, monkeypatch, caplog):
    from types import SimpleNamespace
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(sys, "platform", "linux")
    trainer_module.warn_spinning(SimpleNamespace(use_cpu=True, dataloader_num_workers=2))
    assert ("OMP_WAIT_POLICY=PASSIVE" in caplog.text) == said
    trainer_module.warn_spinning(SimpleNamespace(use_cpu=True, dataloader_num_workers=0))
    assert caplog.text.count("OMP_WAIT_POLICY") == int(said)


def test_videos_that_were_moved_are_the_same_ones(data, tmp_path):
    "Also where a CSV without groups names them by their absolute paths."
    hashes = []
    for place in ("a", "b"):
        root = shutil.copytree(data, tmp_path/place/"videos")
        for old in root.rglob("*.avi"): old.rename(old.with_name(old.name.replace("v_", "film_")))
        lines = [f"{p},{p.parent.name}" for p in sorted(root.rglob("*.avi"))]
        csv = tmp_path/place/"list.csv"
        csv.write_text("\n".join(["path,label", *lines]))
        hashes.append(run_module.table_hash(video_table(csv)))
    assert hashes[0] == hashes[1] != run_module.table_hash(video_table(csv).iloc[1:])
    together = video_table(csv).assign(group="one room")
    assert run_module.table_hash(together) != hashes[0]


def test_a_tracker_that_fails_does_not_end_the_training(recipe, tmp_path, monkeypatch, caplog):
    "It did: whatever a tracker raised came out of `finetune`, and the training was lost."
    from transformers.integrations import integration_utils
    class Failing(integration_utils.TrainerCallback):
        def __init__(self): self.seen = []
        def on_train_begin(self, *args, **kwargs): pass
        def on_log(self, *args, **kwargs): raise ConnectionError("no login")
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "trackio", Failing)
    pytest.importorskip("trackio", reason="trackio is not installed")
    done = finetune(recipe, tmp_path/"m", report_to="trackio", progress=False)
    assert load_record(done.model_dir)["metrics"]["videos"] and caplog.text.count("no login") == 1
    with pytest.raises(ValueError, match="There is no tracker 'paper'"): finetune(recipe, tmp_path/"n", report_to="paper")
    assert not (tmp_path/"n").exists()
