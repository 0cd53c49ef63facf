"""Train the checkpoint that ships with the package again, and measure how much it helps: `make checkpoint`.

It trains twice (masked, and with the labels of the moves), copies weights and records into the package of this
checkout, fine-tunes from three starts, and copies the resulting table next to the weights. It continues where it
stopped. `--tiny` does all of this in a minute into a folder of your choice, with numbers that mean nothing."""
import argparse, json, shutil
from dataclasses import replace
from pathlib import Path

from vidcls.masked import data_hash, MASKED, pretrain, transfer
from vidcls.engine.machine import home, atomic_write, show_messages
from vidcls.engine.recipes import Recipe, RECIPES
from vidcls.engine.record import load_record, RECORD
from vidcls.train import finetune

PACKAGE = Path(__file__).resolve().parents[1]/"vidcls"/"checkpoints"/"videomae-stick"
SUPERVISED = Recipe("moves", data="moves", checkpoint="videomae-stick", from_scratch=True, per_class=(300, 4, 4),
                    scale=(.85, 1.), epochs=10, batch_size=32, learning_rate=1e-3, label_smoothing=.1, precision="bf16",
                    eval_clips=1)
RUNS = ((1., 0), (.3, 0), (.1, 0), (1., 1), (1., 2)) # (share of the labels, seed)
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


def ship(
    package=PACKAGE,                 # Folder for weights, records and table
    work=None,                       # Folder for intermediate results; None: `home()/"checkpoint"`
    supervised:Recipe=SUPERVISED,    # The training with labels
    masked:Recipe=MASKED,            # The training without labels, for comparison
    recipe:Recipe=RECIPES["stick"],  # The fine-tunings of the table
    runs=RUNS,                       # (share of the labels, seed) of the table
    workers:int|None=None,           # Worker processes that read clips
) -> Path: # `package`
    "Train the checkpoint, measure how much it helps, and put both into `package`. Continues where it stopped."
    package, work = Path(package), Path(work or home()/"checkpoint")
    package.mkdir(parents=True, exist_ok=True)
    # `overwrite` replaces results of an older recipe
    pretrain(masked, work/"masked", resume=True, workers=workers, overwrite=True)
    made = make_checkpoint(work/"moves", supervised, workers, overwrite=True)
    for f in ("config.json", "model.safetensors", RECORD): shutil.copy(made/f, package/f)
    with atomic_write(package/"masked.json") as tmp: tmp.write_text(json.dumps(load_record(work/"masked")))
    starts = {"random weights": None, "masked only": work/"masked", "videomae-stick": made}
    transfer(starts, recipe, work/"stick", runs, workers)
    shutil.copy(work/"stick"/"transfer.csv", package)
    return package


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--package", type=Path, default=PACKAGE,
                   help="folder for weights, records and table; default: the checkout's own")
    p.add_argument("--work", type=Path, help="folder for intermediate results; default: checkpoint in VIDCLS_HOME")
    p.add_argument("--workers", type=int, help="worker processes that read clips; default: one per core, at most 8")
    p.add_argument("--tiny", action="store_true",
                   help="make it as short as possible, only to see that every part works; needs --package")
    a = p.parse_args()
    if a.tiny and a.package.resolve() == PACKAGE:
        p.error("--tiny would replace the checkpoint that ships: name a folder with --package.")
    show_messages()
    tiny = dict(supervised=replace(SUPERVISED, **TINY), masked=replace(MASKED, **TINY), recipe=RECIPES["smoke"],
                runs=((1., 0),))
    print(ship(a.package, a.work, workers=a.workers, **(tiny if a.tiny else {})))
