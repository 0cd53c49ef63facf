"The GPU day, as small as can be, on a CPU: an hour of a rented machine must not be lost to a typo."
import json, os, subprocess, sys

import pytest

import gpu_day
from nbtest import ROOT


def test_geometry_is_of_all_families():
    made = gpu_day.configs(gpu_day.Size(gpu_day.PUBLISHED))
    shapes = {k: gpu_day.clip_shape(c) for k, c in made.items()}
    assert shapes == dict(videomae=(16, 224), timesformer=(8, 224), vivit=(32, 224), vjepa2=(16, 256), videoprism_vision_model=(16, 288))


def test_a_part_that_fails_is_written_and_the_page_says_so(tmp_path, monkeypatch):
    def breaks(size, folder): raise RuntimeError("<no> memory")
    monkeypatch.setitem(gpu_day.PARTS, "steps", breaks)
    assert not gpu_day.run_part("steps", gpu_day.TINY, tmp_path)
    assert "<no> memory" in json.loads((tmp_path/"steps.json").read_text())["error"]
    assert "&lt;no&gt; memory" in gpu_day.write_day(tmp_path).read_text()


@pytest.mark.slow
def test_unknown_parts_and_machines_without_a_gpu_are_refused():
    run = lambda *a: subprocess.run([sys.executable, ROOT/"tools"/"gpu_day.py", *a], capture_output=True, text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    said = run("speed")
    assert said.returncode and "There is no part 'speed'" in said.stderr and "Traceback" not in said.stderr
    said = run("steps")
    assert said.returncode and "has no CUDA device" in said.stderr


@pytest.mark.slow
@pytest.mark.parametrize("part", gpu_day.PARTS)
def test_every_part_works_on_a_cpu(part, tmp_path):
    env = os.environ | {"CUDA_VISIBLE_DEVICES": "", "VIDCLS_CUDA_TESTS": "cpu", "OMP_NUM_THREADS": "1"}
    said = subprocess.run([sys.executable, "-W", "ignore", ROOT/"tools"/"gpu_day.py", "--tiny", "--out", tmp_path, part],
                          capture_output=True, text=True, env=env)
    assert said.returncode == 0, said.stderr[-3000:]
    made = json.loads((tmp_path/f"{part}.json").read_text())
    assert made["error"] is None and made["tiny"] and made["tables"]
    for name, rows in made["tables"].items(): assert rows, name
    if part == "steps": assert {r["family"] for r in made["tables"]["training steps"]} == {f.name for f in gpu_day.FAMILIES.values()}
    if part == "training": assert all(r["clips_per_second"] > 0 for r in made["tables"]["fine-tuning on real clips"])
    if part == "tests": assert {r["outcome"] for r in made["tables"]["tests that need a GPU"]} <= {"PASSED", "SKIPPED"}
    assert part in (tmp_path/"gpu.html").read_text()
