"Workers that have too little shared memory, or none: one sentence instead of waiting forever."
import errno, multiprocessing, os, resource, shutil, signal, subprocess, sys
from dataclasses import replace

import pytest, torch
from transformers import pipeline

from vidcls import evaluate_videos, finetune, predict_files, VidclsPipeline
from vidcls.engine.machine import clip_loader, SharedMemoryError
from vidcls.engine.recipes import RECIPES
from vidcls.data import video_table
from videos import write_dataset, write_model

WAYS_OUT = "/dev/shm.*--workers 0.*--shm-size"


@pytest.fixture(scope="module")
def data(tmp_path_factory): return write_dataset(tmp_path_factory.mktemp("data")/"set", frames=60)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return write_model(tmp_path_factory.mktemp("model")/"m", ["Nod", "Wave"])


@pytest.fixture
def too_little():
    "Files, also those in shared memory, may have 8 KB; and a test that waits for a batch that never comes is stopped."
    def late(*_): raise TimeoutError("the main process waits for a batch that was lost")
    before, limits = signal.signal(signal.SIGALRM, late), resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.alarm(200)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_scoring_says_what_to_do(model, data, too_little):
    with pytest.raises(SharedMemoryError, match=WAYS_OUT) as e: evaluate_videos(model, data, workers=1, device="cpu", progress=False)
    assert str(e.value).count("\n") == 0 and "Caught" not in str(e.value)


def test_predicting_says_what_to_do(model, data, tmp_path, too_little):
    with pytest.raises(SharedMemoryError, match=WAYS_OUT):
        predict_files(model, video_table(data).path, tmp_path/"out.jsonl", workers=1, device="cpu", progress=False)


@pytest.mark.slow
def test_a_pipeline_says_what_to_do(model, data, too_little):
    pipe = pipeline("video-classification", str(model), device="cpu", pipeline_class=VidclsPipeline)
    with pytest.raises(SharedMemoryError, match=WAYS_OUT): pipe(list(video_table(data).path), batch_size=2, num_workers=1)


def test_training_says_what_to_do(model, data, tmp_path, too_little):
    recipe = replace(RECIPES["stick"], name="tiny", data=str(data), checkpoint=str(model), from_scratch=False, epochs=1, batch_size=2)
    with pytest.raises(SharedMemoryError, match=WAYS_OUT): finetune(recipe, tmp_path/"model", workers=1, check="none", progress=False)


def test_semaphores_that_cannot_be_made_are_the_same_fault(monkeypatch):
    "Their error is that a file does not exist, but it does not name any."
    def none(*args): raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    monkeypatch.setattr(multiprocessing.synchronize._multiprocessing, "SemLock", none)
    with pytest.raises(SharedMemoryError, match=WAYS_OUT): clip_loader([1], num_workers=1)
    assert list(clip_loader([1], num_workers=0, batch_size=None)) == [1]


def broken(samples): raise RuntimeError("stack expects each tensor to be equal size")


def test_other_faults_of_a_batch_are_not_blamed_on_the_memory():
    with pytest.raises(RuntimeError, match="equal size"): list(clip_loader([1], num_workers=1, collate_fn=broken))


def without_shared_memory(*cmd):
    "Run a command where /dev/shm cannot be written to; skips where that is not allowed."
    for namespace in ("-m", "-rm"):
        enter = ["unshare", namespace, "bash", "-c", 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"', "bash"]
        if shutil.which("unshare") and subprocess.run([*enter, "true"], capture_output=True).returncode == 0:
            return subprocess.run([*enter, *map(str, cmd)], capture_output=True, text=True, timeout=600)
    pytest.skip("this system does not let us change /dev/shm")


@pytest.mark.slow
def test_without_any_shared_memory_one_process_does_everything(model, data, tmp_path):
    run = lambda workers: without_shared_memory(sys.executable, "-m", "vidcls", "finetune", "--data", data, "--checkpoint", model,
                                                "--epochs", 1, "--out", tmp_path/"model", "--resume", "--workers", workers)
    r = run(1)
    assert r.returncode == 1 and r.stderr.strip().splitlines()[-1].startswith("vidcls finetune: The processes that read clips have too little")
    assert "Traceback" not in r.stderr and "Exception ignored" not in r.stderr
    r = run(0)
    assert r.returncode == 0, r.stderr


SCRIPT = """
import multiprocessing, sys
from vidcls.clips import ClipSpec
from vidcls.data import video_table
from vidcls.engine.audit import check_videos
multiprocessing.set_start_method("spawn", force=True)
print(len(check_videos(video_table(sys.argv[1]), ClipSpec(seconds=1., size=32), workers=1, progress=False)[1]), "bad")
"""


@pytest.mark.slow
def test_a_script_without_a_main_block_is_not_blamed_on_the_files(data, tmp_path):
    "On macOS and Windows a worker imports the script, which would start workers again."
    (tmp_path/"script.py").write_text(SCRIPT)
    env = os.environ | {"VIDCLS_HOME": str(tmp_path)}
    r = subprocess.run([sys.executable, tmp_path/"script.py", data], capture_output=True, text=True, timeout=400, env=env)
    assert r.returncode == 1 and "bad" not in r.stdout and 'if __name__ == "__main__":' in r.stderr.splitlines()[-1]
