"""Compare the methods of chapter 10, with few labels and with many, and what they cost: `make methods`.

It writes `methods.csv` and `methods_videos.csv` next to `videomae-stick`, one row per method, backbone, share of the
labels and seed, and continues where it stopped. `--recipe ucf101` makes the same table with real videos, on a GPU, in a
folder of your choice."""
import argparse, itertools, json, resource, shutil, time
from dataclasses import replace
from pathlib import Path

import pandas as pd, torch
from torch import nn

from vidcls.backbones import Backbone, extract_features, fit_probe, load_backbone
from vidcls.data import data_root, video_table
from vidcls.engine.machine import atomic_write, home, show_messages
from vidcls.engine.recipes import get_recipe, RECIPES, Recipe
from vidcls.engine.transfer import KEYS, TransferRows
from vidcls.masked import fewer_labels
from vidcls.scoring import evaluate_videos
from vidcls.train import finetune

SHIPPED = Path(__file__).resolve().parents[1]/"vidcls"/"checkpoints"/"videomae-stick"
LORA_RANK, LORA_STEPS = 8, 10                       # LoRA wants a learning rate ten times as large
METHODS = ("colours", "one frame", "linear", "attentive", "LoRA", "full")
RUNS = tuple((share, seed) for seed in range(3) for share in (1., .3, .1)) # (share of the labels, seed)
FIXED = ("colours", "one frame", "linear")          # Nothing in them is random: one seed is enough
AGAIN = (("videomae-stick", 1., 2), ("videomae-stick", .1, 0)) # Stored fine-tunings to run again, for their time
EPOCHS = 20                                         # Of the attentive head, with all labels


class Colours(nn.Module):
    "The mean colour of sixteen places, and how much each colour varies."
    def forward(self, clips): # [B, T, C, H, W]
        small = nn.functional.adaptive_avg_pool2d(clips.mean(1), 4) # [B, C, 4, 4]
        return torch.cat([small.flatten(1), clips.std((1, 3, 4))], 1)


class OneFrame(nn.Module):
    "A backbone that sees the middle frame of a clip instead of the clip."
    def __init__(self,
        net:nn.Module, # A `TokenNet`
    ):
        super().__init__()
        self.net = net

    def forward(self, clips): return self.net(clips[:, [clips.shape[1]//2]*clips.shape[1]]) # [B, N, D]


def seconds(
) -> tuple: # (CPU seconds of this process and of those that it has started and that have ended, wall-clock seconds)
    "What has been spent so far. Other programs on the same cores change the second number, and hardly the first one."
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used), time.perf_counter()


def timed(do, *args, **kwargs):
    "(what a function returns, CPU seconds, wall-clock seconds)."
    was = seconds()
    out = do(*args, **kwargs)
    return out, *(b - a for a,b in zip(was, seconds()))


def backbone_of(
    method:str,    # One of `METHODS`, without those that train the backbone
    recipe:Recipe, # Whose checkpoint and clips
) -> Backbone:
    "The frozen network of a method."
    found = load_backbone(recipe.checkpoint, recipe.checkpoint_revision, recipe=recipe)
    if method == "colours": return load_backbone(Colours, spec=found.spec)
    if method != "one frame": return found
    def one_frame(): return OneFrame(load_backbone(found.name, found.revision, recipe=recipe).net)
    return load_backbone(one_frame, spec=found.spec)


def features_of(
    method:str,    # As for `backbone_of`
    recipe:Recipe, # Likewise
    table,         # All videos; those of the test are not needed
    store:Path,    # Folder for the features, which several methods and runs share
    workers:int,   # Processes that read clips
) -> tuple: # (a function from a table to its features, CPU seconds per video, wall-clock seconds per video)
    "The features of all training and validation videos, computed once, and what a video costs."
    net, note = backbone_of(method, recipe), store/"seconds.json"
    def read(part): return extract_features(
        net, part[part.split != "test"], num_clips=recipe.eval_clips, workers=workers, progress=False,
        tokens="mean" if method in ("colours", "one frame") else "all", store=store/"features")
    if not note.is_file():
        shutil.rmtree(store, ignore_errors=True)
        done, cpu, wall = timed(read, table)
        with atomic_write(note) as tmp: tmp.write_text(json.dumps([cpu/len(done.table), wall/len(done.table)]))
    return read, *json.loads(note.read_text())


def probed(recipe, method, part, whole, folder, store, workers):
    "Fit a head on frozen features: (model folder, epochs, CPU seconds, wall-clock seconds), features included."
    read, cpu_video, wall_video = features_of(method, recipe, whole, store, workers)
    features = read(part)
    kind = "attentive" if method == "attentive" else "linear"
    epochs = recipe.epochs if kind == "attentive" else 0
    done, cpu, wall = timed(fit_probe, features, kind, folder, recipe.seed, epochs=epochs, progress=False)
    n = len(features.table)
    return done.model_dir, epochs, cpu + n*cpu_video, wall + n*wall_video


def tuned(recipe, folder, workers):
    "Train the network: (model folder, epochs, CPU seconds, wall-clock seconds)."
    done, cpu, wall = timed(finetune, recipe, folder, overwrite=True, workers=workers, cache="ram", check="none",
                            progress=False)
    return done.model_dir, recipe.epochs, cpu, wall


def run_row(
    rows:TransferRows, # The table so far
    name:str,          # Of the row's start, "METHOD on BACKBONE"
    share:float,       # Of the labels
    seed:int,          # Of weights and order
    workers:int=0,     # Processes that read clips
) -> dict: # The row that was added
    "Train, test and time one method, and add its row."
    method, _, backbone = name.partition(" on ")
    part = fewer_labels(rows.table, share)
    r = replace(rows.starts[name], data=str(rows.write_labels(part, share)), seed=seed)
    base = EPOCHS if method == "attentive" else r.epochs
    r, folder = replace(r, epochs=max(1, round(base/share**.5))), rows.folder/"model"
    store = rows.folder/f"{method if method in ('colours', 'one frame') else 'tokens'} {Path(backbone).name}"
    if method in ("LoRA", "full"): model, epochs, cpu, wall = tuned(r, folder, workers)
    else: model, epochs, cpu, wall = probed(r, method, part, rows.table, folder, store, workers)
    test = rows.table[rows.table.split == "test"]
    scores, test_cpu, test_wall = timed(evaluate_videos, model, test, workers=workers, progress=False)
    row = dict(labelled=int((part.split == "train").sum()), epochs=epochs, seconds=round(wall, 1), videos=len(test),
               clips=scores.by_view.size, video_accuracy=scores.accuracy, clip_accuracy=scores.clip_accuracy,
               cpu=round(cpu, 1), predict_cpu=round(test_cpu/len(test), 4),
               predict_seconds=round(test_wall/len(test), 4))
    rows.add(name, share, seed, row, scores.predictions)
    return row


def starts_of(
    recipe:Recipe, # The fine-tuning that all rows share
    backbones,     # Checkpoints
    methods,       # Some of `METHODS`
) -> dict: # Name of a row → changes of the recipe
    "The rows of the table. Colours need no backbone."
    lora = dict(lora_rank=LORA_RANK, learning_rate=LORA_STEPS*recipe.learning_rate)
    found = {"colours": dict(from_scratch=True)} if "colours" in methods else {}
    for b, m in itertools.product(backbones, methods):
        if m != "colours": found[f"{m} on {Path(b).name}"] = dict(checkpoint=b) | (lora if m == "LoRA" else {})
    return found


def reuse(
    folder:Path,  # Of the new table
    package:Path, # With `transfer.csv` and `videos.csv`
    again=(),     # (backbone, share, seed) to run once more, so that they are timed
):
    "Begin with the fine-tunings that `make checkpoint` has stored. `TransferRows` refuses those of another recipe."
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("videos.csv", "transfer.csv"):
        if (folder/name).exists(): continue
        old = pd.read_csv(package/name, dtype=dict(recipe=str, weights=str), keep_default_na=False)
        keys = zip(*(old[k] for k in KEYS))
        old = old[[k[0] in ("videomae-stick", "videomae-masked") and k not in again for k in keys]]
        with atomic_write(folder/name) as tmp: old.assign(start="full on " + old.start).to_csv(tmp, index=False)


def make_table(
    folder,                  # For the tables, the features and one model
    recipe:Recipe,           # The fine-tuning that all rows share
    backbones=("videomae-stick", "videomae-masked"), # Checkpoints
    methods=METHODS,         # Some of `METHODS`
    runs=RUNS,               # (share of the labels, seed)
    workers:int=0,           # Processes that read clips
) -> TransferRows: # The table
    "Make the rows that are missing, one at a time."
    rows = TransferRows(folder, recipe, video_table(data_root(recipe, False)), starts_of(recipe, backbones, methods))
    for share, seed in runs:
        for name in rows.starts:
            if rows.has(name, share, seed) or (seed and name.split(" on ")[0] in FIXED): continue
            row = run_row(rows, name, share, seed, workers)
            print(f"{name}, {share:.0%} of the labels, seed {seed}: {row['video_accuracy']:.3f}, "
                  f"{row['cpu']:.0f} CPU seconds", flush=True)
    return rows


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--recipe", default="stick", choices=RECIPES, help="default: stick")
    p.add_argument("--out", type=Path, help="folder for both tables; default: the package, for stick")
    p.add_argument("--work", type=Path, help="folder for intermediate results; default: methods-RECIPE in VIDCLS_HOME")
    p.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS, help="default: all")
    p.add_argument("--backbones", nargs="+", help="checkpoints; default: both that ship, or the recipe's")
    p.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2), help="default: 0 1 2")
    p.add_argument("--workers", type=int, default=0, help="worker processes that read clips; default: none")
    a = p.parse_args()
    stick, recipe = a.recipe == "stick", get_recipe(a.recipe)
    if not (stick or a.out): p.error("Only the recipe stick has a table in the package: name a folder with --out.")
    if stick: recipe = replace(recipe, precision="bf16") # As in `make checkpoint`
    work, out = a.work or home()/f"methods-{a.recipe}", a.out or SHIPPED
    show_messages()
    if stick: reuse(work, SHIPPED, AGAIN)
    backbones = a.backbones or (("videomae-stick", "videomae-masked") if stick else (recipe.checkpoint,))
    make_table(work, recipe, backbones, a.methods, [r for r in RUNS if r[1] in a.seeds], a.workers)
    out.mkdir(parents=True, exist_ok=True)
    for name, to in (("transfer", "methods"), ("videos", "methods_videos")):
        shutil.copy(work/f"{name}.csv", out/f"{to}.csv")
    print(out/"methods.csv")
