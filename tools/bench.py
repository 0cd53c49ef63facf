"""Measure the speed of the input pipelines, the loaders and the training step on this machine: `make bench`.

It prints the tables of chapter 13, measured with more rounds, and writes `bench.json` and `bench.png`."""
import argparse, json, os
from pathlib import Path

import matplotlib.pyplot as plt
from transformers import VideoMAEConfig
from vidcls.backbones import load_backbone
from vidcls.bench import bench_files, Elsewhere, feature_race, loader_race, plot_races, race, step_race
from vidcls.clips import ClipSpec
from vidcls.engine.video import probe_video
from vidcls.data import data_root, video_table
from vidcls.engine.machine import doctor, get_device, home, atomic_write, show_messages
from vidcls.engine.recipes import Recipe, RECIPES
from vidcls.engine.record import checkpoint_path


def race_files(
    folder,         # Folder for the files
    spec:ClipSpec,  # What a clip is
    rounds:int,     # Rounds of each race
    seconds:float=8, # Length of the files
    test=(5, 3),    # Views of a test: clips in time, crops
) -> dict: # Name -> table
    "Compare the readers on each of the files, for a training view and for the views of a test."
    races = {}
    for name,path in bench_files(folder, seconds).items():
        few = 10 if probe_video(path).height > 720 else 1 # The guide needs seconds for one view of these files
        for what,n,r in (("training view", (), rounds), (f"{test[0]} × {test[1]} views", test, rounds//4)):
            races[f"{name}: {what}"] = race(path, spec, *n, rounds=max(1, r//few))
            print(f"\n{name}: {what}\n{races[f'{name}: {what}'].round(2).to_string()}", flush=True)
    return races


def race_features(
    root,       # Data set folder
    clips:int,  # Videos that are read
    rounds:int, # Rounds of each race
) -> dict: # Name -> table with one row per round
    "How close extracting features comes to the best possible rate: here, and beside a stand-in for a device of its own."
    backbone, paths, workers = load_backbone("videomae-stick"), list(video_table(root).path[:clips]), min(8, os.cpu_count())
    if get_device() != "cpu": return {"on this device": feature_race(backbone, paths, workers, False, rounds)}
    shared = feature_race(backbone, paths, workers, True, rounds)
    waiting = load_backbone(Elsewhere(1/float(shared["reading alone"].median())), spec=backbone.spec)
    return {"on the same cores": shared, "with a device of its own": feature_race(waiting, paths, workers, False, rounds)}


def draw(
    races:dict, # Name -> table
    file,       # PNG file to write
):
    "Draw all races, in milliseconds per view."
    fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
    plot_races(races, ax)
    with atomic_write(file) as tmp: fig.savefig(tmp, format="png", dpi=120)
    plt.close(fig)


def bench(
    folder,                         # Folder for the files and the results
    rounds:int=20,                  # Rounds of each comparison of readers
    seconds:float=8,                # Length of the files
    test=(5, 3),                    # Views of a test: clips in time, crops
    clips:int=64,                   # Clips that each loader reads
    steps:int=6,                    # Training steps to time
    recipe:Recipe=RECIPES["stick"], # Recipe whose videos the loaders read
) -> dict: # The machine, and every table as a dict
    "Run all comparisons on this machine, and write `bench.json` and `bench.png`."
    spec, folder = ClipSpec(), Path(folder)
    races = race_files(folder/"files", spec, rounds, seconds, test)
    loaders = loader_race(data_root(recipe), spec, num_clips=clips)
    print(f"\nclips per second, by workers\n{loaders.round(1).to_string()}", flush=True)
    features = race_features(data_root(recipe), 4*clips, 3 if steps > 1 else 1)
    for name,t in features.items(): print(f"\nfeatures, {name}: videos per second\n{t.round(2).to_string()}", flush=True)
    step = step_race(VideoMAEConfig.from_pretrained(checkpoint_path("videomae-stick")), 16, steps)
    print(f"\ntraining step\n{step.round(3).to_string()}")
    report = doctor()
    out = dict(machine={**report.machine, **report.versions}, races={k: t.to_dict() for k,t in races.items()},
               loaders=loaders.to_dict(), features={k: t.to_dict() for k,t in features.items()}, steps=step.to_dict())
    with atomic_write(folder/"bench.json") as tmp: tmp.write_text(json.dumps(out, indent=1))
    draw(races, folder/"bench.png")
    return out


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", type=Path, default=home()/"bench",
                   help="folder for files and results; default: bench in VIDCLS_HOME")
    p.add_argument("--tiny", action="store_true", help="as short as possible, only to see that every part works")
    a = p.parse_args()
    show_messages()
    tiny = dict(rounds=1, seconds=2.2, test=(1, 1), clips=8, steps=1, recipe=RECIPES["smoke"])
    bench(a.out, **(tiny if a.tiny else {}))
