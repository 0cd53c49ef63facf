"""Train the checkpoints that ship with the package again, and measure how much they help: `make checkpoint`.

It trains twice, without labels (`videomae-masked`) and with the labels of the moves (`videomae-stick`), copies weights
and records into the package of this checkout, fine-tunes from several starts, and copies the resulting tables next to
the weights. It continues where it stopped. `--tiny` does all of this in a minute into a folder of your choice, with
numbers that mean nothing."""
import argparse, json, shutil
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import set_seed

from vidcls.masked import data_hash, MASKED, masked_net, pretrain, transfer
from vidcls.engine.machine import home, atomic_write, show_messages
from vidcls.engine.recipes import Recipe, RECIPES
from vidcls.engine.record import checkpoint_path, load_record, RECORD
from vidcls.train import finetune

PACKAGE = Path(__file__).resolve().parents[1]/"vidcls"/"checkpoints"
SUPERVISED = Recipe("moves", data="moves", checkpoint="videomae-stick", from_scratch=True, per_class=(300, 4, 4),
                    scale=(.85, 1.), epochs=10, batch_size=32, learning_rate=1e-3, label_smoothing=.1, precision="bf16",
                    eval_clips=1)
HIDE = dict(mask_ratio=.6, masking="random")        # How `videomae-masked` was trained
FINETUNING = replace(RECIPES["stick"], precision="bf16") # Half precision saves a third of the time on a CPU
LONGER = 4                                          # The control from random weights takes so many times the epochs
RUNS = tuple((share, seed) for seed in range(3) for share in (1., .3, .1)) # (share of the labels, seed)
TINY = dict(per_class=(2, 1, 1), epochs=1)


def make_checkpoint(
    folder,                   # Model folder for the result
    recipe:Recipe=SUPERVISED, # Moves to learn, and for how long
    workers:int|None=None,    # Worker processes that read clips
    progress:bool=True,       # Show progress bars?
    overwrite:bool=False,     # Start again if `folder` contains another run?
) -> Path: # The folder
    "Learn other actions with labels from random weights, and record the data. Continues where it stopped."
    done = finetune(recipe, folder, resume=True, overwrite=overwrite, workers=workers, progress=progress)
    record = load_record(folder) | dict(data=data_hash(recipe))
    with atomic_write(Path(folder)/RECORD) as tmp: tmp.write_text(json.dumps(record), encoding="utf-8")
    return done.model_dir


def ship_supervised(
    model,  # Folder from `make_checkpoint`
    folder, # Folder in the package
) -> Path: # `folder`
    "Put the model that learned from labels into the package."
    folder.mkdir(parents=True, exist_ok=True)
    for f in ("config.json", "model.safetensors", RECORD): shutil.copy(Path(model)/f, folder/f)
    return folder


def ship_masked(
    model,  # Folder from `pretrain`
    folder, # Folder in the package
) -> Path: # `folder`
    "Put the model that learned without labels into the package: weights in half precision, its record, and how to read clips."
    model, folder, like = Path(model), Path(folder), Path(checkpoint_path("videomae-stick"))
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v.half() if v.is_floating_point() else v for k, v in load_file(model/"model.safetensors").items()}
    save_file(weights, folder/"model.safetensors", metadata=dict(format="pt"))
    (folder/"model.safetensors").chmod(0o644)
    shutil.copy(model/"config.json", folder) # It says float32, so that the weights are loaded as such
    for f in like.glob("*preprocessor_config.json"): shutil.copy(f, folder)
    with atomic_write(folder/"masked.json") as tmp: tmp.write_text(json.dumps(load_record(model)), encoding="utf-8")
    return folder


def untrained(
    folder,                # Model folder for the result
    recipe:Recipe=MASKED,  # Whose initial weights
) -> Path: # The folder
    "The weights with which masked pre-training begins, as a control: what is their structure worth without training?"
    set_seed(recipe.seed)
    masked_net(recipe).save_pretrained(folder)
    for f in Path(checkpoint_path("videomae-stick")).glob("*preprocessor_config.json"): shutil.copy(f, folder)
    return Path(folder)


def ship(
    package=PACKAGE,                # Folder for the folders of both checkpoints
    work=None,                      # Folder for intermediate results; None: `home()/"checkpoint"`
    supervised:Recipe=SUPERVISED,   # The training with labels
    masked:Recipe=MASKED,           # The training without labels
    recipe:Recipe=FINETUNING,       # The fine-tunings of the table
    runs=RUNS,                      # (share of the labels, seed) of the table
    workers:int|None=None,          # Worker processes that read clips
) -> Path: # `package`
    "Train the checkpoints, measure how much they help, and put both into `package`. Continues where it stopped."
    package, work = Path(package), Path(work or home()/"checkpoint")
    # `overwrite` replaces results of an older recipe
    pretrain(masked, work/"masked", **HIDE, resume=True, workers=workers, overwrite=True, cache="disk")
    one = ship_masked(work/"masked", package/"videomae-masked")
    other = ship_supervised(make_checkpoint(work/"moves", supervised, workers, overwrite=True), package/"videomae-stick")
    starts = {"random weights": None, "videomae-masked": one, "videomae-stick": other}
    controls = {f"random weights, {LONGER} times as long": dict(from_scratch=True, epochs=LONGER*recipe.epochs),
                "positional start": untrained(work/"start", masked)}
    for some, which in ((starts, runs), (controls, runs[:1])):
        transfer(some, recipe, work/"stick", which, workers=workers, cache="ram")
    for f in ("transfer.csv", "videos.csv"): shutil.copy(work/"stick"/f, other)
    return package


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--package", type=Path, default=PACKAGE,
                   help="folder for weights, records and tables; default: the checkout's own")
    p.add_argument("--work", type=Path, help="folder for intermediate results; default: checkpoint in VIDCLS_HOME")
    p.add_argument("--workers", type=int, help="worker processes that read clips; default: one per core, at most 8")
    p.add_argument("--tiny", action="store_true",
                   help="make it as short as possible, only to see that every part works; needs --package")
    a = p.parse_args()
    if a.tiny and a.package.resolve() == PACKAGE:
        p.error("--tiny would replace the checkpoints that ship: name a folder with --package.")
    show_messages()
    tiny = dict(supervised=replace(SUPERVISED, **TINY), masked=replace(MASKED, **TINY), recipe=RECIPES["smoke"],
                runs=((1., 0),))
    print(ship(a.package, a.work, workers=a.workers, **(tiny if a.tiny else {})))
