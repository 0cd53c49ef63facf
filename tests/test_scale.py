"Many videos: a manifest of them, processes that hang or are killed, and results that are exactly those of one loop."
import io, json, os, shutil, signal, socket, subprocess, sys, tarfile, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import pandas as pd, pytest, torch

from vidcls.engine.cli import main
from vidcls.engine.manifest import make_manifest, read_manifest, write_manifest
from vidcls.engine.results import read_results, Results
from vidcls.engine.shards import run_shard, score_job
from vidcls.infer import load_trained, run_inference, seen_views
from vidcls.scoring import evaluate_videos, score_results
from videos import variant, write_model, write_video


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    "Twelve small films of two classes, each a recording of its own."
    root = tmp_path_factory.mktemp("films")/"set"
    for i in range(12): write_video(root/"Nod Wave".split()[i % 2]/f"v_{i:02}_g{i:02}_c01.avi", 20 + i, first=i)
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return write_model(tmp_path_factory.mktemp("model")/"m")


@pytest.fixture(scope="module")
def manifest(films, tmp_path_factory):
    file = tmp_path_factory.mktemp("manifest")/"m.parquet"
    make_manifest(films, file, progress=False)
    return file


@pytest.fixture(scope="module")
def truth(manifest, model):
    "id → logits, of one loop in this process."
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    net, spec = load_trained(model, device="cpu")
    rows = read_manifest(manifest)
    out = {i: run_inference(net, seen_views(p, spec, 1)[0], spec).numpy() for i, p in zip(rows.id, rows.path)}
    torch.set_num_threads(threads)
    return out


def same(folder, truth):
    table = read_results(folder)[1]
    assert table.id.tolist() == sorted(truth) and table.error.eq("").all()
    assert all((v == truth[i]).all() for i, v in zip(table.id, table["values"])), "not bit-equal"


class Films(BaseHTTPRequestHandler):
    "A server with one film, which says how large it is and what its ETag is."
    data = b""
    def do_HEAD(self):
        self.send_response(200 if self.path == "/a.avi" else 404)
        self.send_header("Content-Length", str(len(self.data)))
        self.send_header("ETag", '"one"')
        self.end_headers()
    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.data)
    def log_message(self, *args): pass


# -- the manifest -----------------------------------------------------------------------------------------------------

def test_a_manifest_from_a_shell(films, tmp_path, capsys):
    (films/"Nod"/"bad.avi").write_text("no film")
    try: status = main(["manifest", str(films), "--out", str(tmp_path/"m.parquet"), "--json"])
    finally: (films/"Nod"/"bad.avi").unlink()
    said = json.loads(capsys.readouterr().out)
    assert status == 1 and said["videos"] == 13 and "bad.avi is not a readable video" in said["problems"][0]
    assert main(["manifest", str(tmp_path/"nowhere"), "--out", str(tmp_path/"n.parquet")]) == 1 and not (tmp_path/"n.parquet").exists()


@pytest.mark.slow
def test_videos_on_the_web_are_listed_and_read(films, model, tmp_path):
    Films.data = next(films.rglob("*.avi")).read_bytes()
    server = HTTPServer(("127.0.0.1", 0), Films)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    (tmp_path/"list.txt").write_text(f"{base}/a.avi\n{base}/b.avi\n")
    try:
        m = make_manifest(tmp_path/"list.txt", tmp_path/"m.parquet", progress=False)
        assert m["size"].tolist() == [len(Films.data), 0] and m.version[0] and "cannot be reached" in m.problem[1]
        run_shard(*score_job(model, device="cpu"), tmp_path/"m.parquet", tmp_path/"r", processes=1, progress=False)
    finally: server.shutdown()
    t = read_results(tmp_path/"r")[1].set_index("path")
    assert t.error[f"{base}/a.avi"] == "" and "cannot be downloaded" in t.error[f"{base}/b.avi"]


STORE = """
import os
from fsspec import AbstractFileSystem
class Store(AbstractFileSystem):
    "What a package such as s3fs or gcsfs does, with a folder as the cloud."
    def _place(self, path): return os.path.join(os.environ["CLOUD"], self._strip_protocol(path))
    def info(self, path, **_):
        s, kind = os.stat(self._place(path)), "directory" if os.path.isdir(self._place(path)) else "file"
        return dict(name=self._strip_protocol(path), size=s.st_size, type=kind, ETag=f'"{s.st_mtime_ns}"')
    def ls(self, path, detail=True, **_):
        found = [f"{self._strip_protocol(path)}/{n}" for n in sorted(os.listdir(self._place(path)))]
        return [self.info(p) for p in found] if detail else found
    def _open(self, path, mode="rb", **_): return open(self._place(path), mode)
class S3(Store): protocol = "s3"
class GS(Store): protocol = "gs"
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["s3", pytest.param("gs", marks=variant)])
def test_videos_in_a_cloud_are_listed_read_and_noticed_when_they_change(scheme, films, manifest, model, truth, tmp_path):
    "In processes of their own, as from a shell: whoever reads a video finds the package for its address by itself."
    about = tmp_path/"packages"/"cloud-1.dist-info"
    about.mkdir(parents=True)
    (about/"METADATA").write_text("Metadata-Version: 2.1\nName: cloud\nVersion: 1\n")
    (about/"entry_points.txt").write_text("[fsspec.specs]\ns3 = cloud:S3\ngs = cloud:GS\n")
    (tmp_path/"packages"/"cloud.py").write_text(STORE)
    bucket = shutil.copytree(films, tmp_path/"cloud"/"bucket"/"films")
    paths = os.pathsep.join([str(tmp_path/"packages"), os.environ.get("PYTHONPATH", "")])
    def shell(*args):
        code = "import sys; from vidcls.engine.cli import main; sys.exit(main(sys.argv[1:]))"
        env = os.environ | dict(PYTHONPATH=paths, CLOUD=str(tmp_path/"cloud"), OMP_NUM_THREADS="1")
        return json.loads(subprocess.run([sys.executable, "-c", code, *args, "--json"], env=env, stdout=subprocess.PIPE).stdout)
    m, r = str(tmp_path/"m.parquet"), str(tmp_path/"r")
    score = "predict", str(model), m, "--out", r, "--device", "cpu", "--processes", "1"
    assert shell("manifest", f"{scheme}://bucket/films", "--out", m)["videos"] == 12
    rows, alone = read_manifest(m), read_manifest(manifest).set_index("path")
    assert rows.label.tolist() == [p.split("/")[-2] for p in rows.path] and rows.path.str.startswith(f"{scheme}://bucket/films/").all()
    assert shell(*score)["scored"] == 12
    t = read_results(r)[1].set_index("path")
    for p in rows.path: assert (t["values"][p] == truth[alone.id[str(films/p.split("films/")[1])]]).all(), "not bit-equal"
    one, other = (bucket/p.split("films/")[1] for p in rows.path[:2])
    shutil.copy(bucket/rows.path[5].split("films/")[1], one)
    other.unlink()
    shell("manifest", f"{scheme}://bucket/films", "--out", m)
    assert read_manifest(m).id.tolist() == rows.id.tolist() and shell(*score)["scored"] == 1
    again = read_results(r)[1].set_index("path")
    assert (again["values"][rows.path[0]] == t["values"][rows.path[5]]).all()


@pytest.mark.slow
def test_films_in_tar_files_give_what_they_give_alone(films, manifest, model, truth, tmp_path):
    files = sorted(films.rglob("*.avi"))
    with tarfile.open(tmp_path/"s.tar", "w") as tar:
        for f in files:
            tar.add(f, f"x/{f.name}")
            info = tarfile.TarInfo(f"x/{f.stem}.cls")
            info.size = len(f.parent.name)
            tar.addfile(info, io.BytesIO(f.parent.name.encode()))
    m = make_manifest(tmp_path/"s.tar", tmp_path/"m.parquet", progress=False)
    assert m.label.tolist() == [f.parent.name for f in files] and (m.frames > 0).all()
    run_shard(*score_job(model, device="cpu"), tmp_path/"m.parquet", tmp_path/"r", processes=1, progress=False)
    t, alone = read_results(tmp_path/"r")[1].set_index("member"), read_manifest(manifest).set_index("path").id
    assert all((t["values"][f"x/{f.name}"] == truth[alone[str(f)]]).all() for f in files)


def test_ids_stay_whatever_is_added_before(films, tmp_path):
    a = make_manifest(films, tmp_path/"a.parquet", probe=False, progress=False)
    new = write_video(films/"Nod"/"a_new.avi", 20)
    try: b = make_manifest(films, tmp_path/"a.parquet", probe=False, progress=False)
    finally: new.unlink()
    assert b.id.tolist()[:12] == a.id.tolist() and b.path[12] == str(new)


# -- processes --------------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_shards_give_what_one_loop_gives(manifest, model, truth, tmp_path):
    done = [run_shard(*score_job(model, device="cpu"), manifest, tmp_path/"r", f"{i}/2", 1, progress=False) for i in range(2)]
    assert [d["scored"] for d in done] == [6, 6] and not any(d["failed"] for d in done)
    same(tmp_path/"r", truth)


@pytest.mark.slow
def test_what_is_wrong_is_a_row_and_no_reason_to_stop(manifest, model, tmp_path):
    rows = read_manifest(manifest)
    (tmp_path/"text.avi").write_text("no film")
    silent = socket.create_server(("127.0.0.1", 0))
    bad = dict(zip(rows.id[:3], ("nowhere.avi", str(tmp_path/"text.avi"), f"http://127.0.0.1:{silent.getsockname()[1]}/a.avi")))
    write_manifest(rows.assign(path=[bad.get(i, p) for i, p in zip(rows.id, rows.path)]), tmp_path/"m.parquet")
    job = score_job(model, device="cpu")
    said = run_shard(*job, tmp_path/"m.parquet", tmp_path/"r", processes=1, time_limit=4, progress=False)
    assert said | dict(out=0) == dict(out=0, videos=12, scored=12, failed=3)
    t = read_results(tmp_path/"r")[1].set_index("id").error
    for i, words in zip(bad, ("There is no video", "not a readable video", "took longer than 4 s")): assert words in t[i]
    assert run_shard(*job, tmp_path/"m.parquet", tmp_path/"r", progress=False)["scored"] == 0
    again = run_shard(*job, manifest, tmp_path/"r", processes=1, retry=True, progress=False)
    assert (again["scored"], again["failed"]) == (3, 0)
    silent.close()


def test_what_does_not_belong_together_is_refused(manifest, model, tmp_path):
    job, identity = score_job(model, device="cpu")
    with Results(tmp_path/"r", identity): # Somebody is at work
        with pytest.raises(ValueError, match="Another process is writing"): run_shard(job, identity, manifest, tmp_path/"r", "0/2")
    with pytest.raises(ValueError, match="clips was 1, is now 2"): run_shard(*score_job(model, 2, device="cpu"), manifest, tmp_path/"r")
    other = identity | dict(weights="0"*16)
    with pytest.raises(ValueError, match="weights was"): run_shard(job, other, manifest, tmp_path/"r")
    (tmp_path/"mine").mkdir()
    (tmp_path/"mine"/"thesis.txt").touch()
    with pytest.raises(ValueError, match="does not contain results"): run_shard(job, identity, manifest, tmp_path/"mine")
    rows = read_manifest(manifest)
    for table, says in ((rows.drop(columns="id"), "no column 'id'"), (rows.drop(columns="path"), "no column 'path'"), (rows.assign(id=1), "the id 1 12 times")):
        table.to_parquet(tmp_path/"bad.parquet")
        with pytest.raises(ValueError, match=says): run_shard(job, identity, tmp_path/"bad.parquet", tmp_path/"r")
    assert sorted(p.name for p in tmp_path.glob("*/*") if not p.name.startswith(".")) == ["job.json", "thesis.txt"]


@pytest.mark.slow
def test_another_models_half_finished_folder_stays_as_it_is(manifest, model, tmp_path):
    "Another model of the same name, with the same labels, in the middle of whose work the first one was stopped."
    out = tmp_path/"r"
    run_shard(*score_job(model, device="cpu"), manifest, out, "0/2", 1, progress=False)
    before = {f: f.read_bytes() for f in out.iterdir()}
    torch.manual_seed(1)
    other = write_model(tmp_path/"other"/model.name)
    for shard in (None, "0/2", "1/2"):
        with pytest.raises(ValueError, match="r contains results of another job .weights was .*: name another folder.$"):
            run_shard(*score_job(other, device="cpu"), manifest, out, shard, 1, progress=False)
    assert {f: f.read_bytes() for f in out.iterdir()} == before


@pytest.fixture
def little_disk(tmp_path):
    "A disk with room for 512 KB."
    place = tmp_path/"disk"
    place.mkdir()
    if not shutil.which("mount") or os.geteuid(): pytest.skip("a small disk can be mounted by root alone")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], capture_output=True, text=True)
    if done.returncode: pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try: yield place
    finally: subprocess.run(["umount", place], check=True)


def fill(disk, leave=0):
    "Leave so many bytes free."
    free = os.statvfs(disk).f_bavail*os.statvfs(disk).f_frsize
    (disk/"filler").write_bytes(b"x"*(free - leave))


def parts(folder): return {f: f.read_bytes() for f in folder.glob("*.parquet")}


FULL = "^The disk is full while writing to .*: free space, then run again.$"


@pytest.mark.slow
def test_a_full_disk_keeps_what_is_written(manifest, model, truth, little_disk):
    "One sentence, nothing overwritten, no half files; with room again, the rest is done."
    job, out = score_job(model, device="cpu"), little_disk/"r"
    said = run_shard(*job, manifest, out, "0/2", processes=1, progress=False)
    before = parts(out)
    fill(little_disk)
    with pytest.raises(OSError, match=FULL): run_shard(*job, manifest, out, processes=1, progress=False)
    assert said["scored"] == 6 and parts(out) == before and not list(out.glob(".*.tmp"))
    (little_disk/"filler").unlink()
    assert run_shard(*job, manifest, out, processes=1, progress=False)["scored"] == 6
    same(out, truth)


@pytest.mark.slow
def test_ten_million_ids_need_little_memory_and_time(tmp_path):
    "Drivers that are killed again and again, in a process of its own: all videos are there, none twice."
    script = ("import json, sys; from vidcls.engine.results import rehearse_resume; done = rehearse_resume(sys.argv[1]); "
              "print(json.dumps(done | dict(status=open('/proc/self/status').read())))")
    if not sys.platform.startswith("linux"): pytest.skip("only Linux tells the most memory that a process had")
    out = subprocess.run([sys.executable, "-c", script, tmp_path/"r"], capture_output=True, text=True, check=True).stdout
    done = json.loads(out)
    assert (done["rows"], done["videos"], done["drivers"]) == (10**7, 10**7, 5)
    assert done["cpu_seconds"] < 120, "others may use this machine too, so only its own time counts"
    assert int(done["status"].partition("VmHWM:")[2].split()[0]) < 10**6, "more than 1 GB"


SHARD = """
import sys
from vidcls.engine import shards, results
model, manifest, out = sys.argv[1:]
real = results.Results.__init__
def often(self, *args, **kwargs): real(self, *args, **kwargs, rows=2)
results.Results.__init__ = often
shards.run_shard(*shards.score_job(model, device="cpu"), manifest, out, processes=2, progress=False)
"""


def children(pid):
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(p) for p in out.split()]


def alive(pid):
    try: return open(f"/proc/{pid}/stat").read().split(")")[-1].split()[0] != "Z"
    except OSError: return False


@pytest.mark.slow
def test_a_killed_driver_goes_on_where_it_was(manifest, model, truth, tmp_path):
    "SIGKILL in the middle: its processes end too, what was written stays, and a second run does exactly the rest."
    out = tmp_path/"r"
    p = subprocess.Popen([sys.executable, "-c", SHARD, str(model), str(manifest), str(out)])
    until = time.monotonic() + 120
    while not list(out.glob("*.parquet")) and p.poll() is None and time.monotonic() < until: time.sleep(.005)
    workers = children(p.pid)
    p.send_signal(signal.SIGKILL)
    p.wait()
    done = len(read_results(out)[1])
    assert len(workers) == 2 and 0 < done < 12
    until = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < until: time.sleep(.1)
    assert not any(map(alive, workers)), "a process was left behind"
    said = run_shard(*score_job(model, device="cpu"), manifest, out, processes=1, progress=False)
    assert said["scored"] == 12 - done
    same(out, truth)


# -- judged without the model -----------------------------------------------------------------------------------------

@pytest.mark.slow
def test_scores_come_from_kept_results(films, manifest, model, tmp_path, caplog):
    job = score_job(model, device="cpu")
    run_shard(*job, manifest, tmp_path/"r", processes=1, progress=False)
    kept, direct = score_results(tmp_path/"r"), evaluate_videos(model, films, progress=False, device="cpu")
    assert (kept.accuracy, kept.interval, kept.protocol) == (direct.accuracy, direct.interval, direct.protocol)
    rows = read_manifest(manifest)
    write_manifest(rows.assign(label=["Wave" if l == "Nod" else "Nod" for l in rows.label]), tmp_path/"swapped.parquet")
    assert score_results(tmp_path/"r", tmp_path/"swapped.parquet").accuracy == 1 - kept.accuracy
    write_manifest(pd.concat([rows, rows[:1].assign(id=5, path="new.avi")]), tmp_path/"more.parquet")
    assert len(score_results(tmp_path/"r", tmp_path/"more.parquet").predictions) == 12
    assert "1 of 13 videos have no logits and are left out. The first: it has not been scored yet." in caplog.text
    assert main(["evaluate", str(tmp_path/"r"), str(manifest), "--json"]) == 0


@pytest.mark.slow
def test_a_shard_from_a_shell(manifest, model, tmp_path, capsys):
    args = ["predict", str(model), str(manifest), "--device", "cpu", "--processes", "1"]
    assert main([*args, "--out", str(tmp_path/"r"), "--shard", "1/6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == dict(out=str(tmp_path/"r"), videos=2, scored=2, failed=0)
    for more, says in (([], "needs --out FOLDER"), (["--out", str(tmp_path/"r"), "--shard", "6/6"], "A shard is i/n")):
        assert main([*args, *more]) == 2 and says in capsys.readouterr().err


# -- Ray --------------------------------------------------------------------------------------------------------------

RAY = """
import os, sys
os.environ |= dict(RAY_AUTH_MODE="disabled", RAY_agent_register_timeout_ms="100000")
import ray
from ray.cluster_utils import Cluster
model, manifest, out, address, readers = sys.argv[1:]
from vidcls.engine.cluster import run_ray
from vidcls.engine.shards import score_job
done = run_ray(*score_job(model, device="cpu"), manifest, out, address, 2, int(readers), block_rows=1, progress=False)
print(done["scored"], done["failed"])
"""


class Slow(Films):
    "Films of which each takes two seconds to arrive, as from a storage far away."
    def do_GET(self):
        time.sleep(2)
        super().do_GET()
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data := self.server.films[self.path])))
        self.end_headers()
        self.data = data


@pytest.fixture
def far(manifest, tmp_path):
    "The same films behind a slow server."
    rows = read_manifest(manifest)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.films = {f"/{i}.avi": open(p, "rb").read() for i, p in zip(rows.id, rows.path)}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    write_manifest(rows.assign(path=[f"http://127.0.0.1:{server.server_port}/{i}.avi" for i in rows.id]), tmp_path/"far.parquet")
    yield tmp_path/"far.parquet"
    server.shutdown()


def scorers(node):
    "The processes that score videos on a node."
    import psutil
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [p for p in raylet.children(recursive=True) if "serve()" in " ".join(p.cmdline())]


def drive(model, manifest, out, address, readers=0):
    args = map(str, (model, manifest, out, address, readers))
    return subprocess.Popen([sys.executable, "-c", RAY, *args], stdout=subprocess.PIPE, text=True)


def wait_for_part(out, process, also=lambda: True, seconds=240):
    "Wait until a part is written to its end: Ray's sink writes under the last name, so a part may be seen half-written."
    until, whole = time.monotonic() + seconds, lambda p: p.read_bytes()[-4:] == b"PAR1"
    while not (any(map(whole, out.glob("[!.]*.parquet"))) and also()) and process.poll() is None and time.monotonic() < until:
        time.sleep(.02)
    assert process.poll() is None, "it has ended already"


@pytest.fixture
def cluster(monkeypatch):
    "Two nodes of a Ray cluster on this machine; the first one holds what the cluster knows of itself."
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'vidcls[ray]'")
    for k, v in dict(RAY_AUTH_MODE="disabled", RAY_agent_register_timeout_ms="100000").items(): monkeypatch.setenv(k, v)
    from ray.cluster_utils import Cluster
    c = Cluster(initialize_head=True, head_node_args=dict(num_cpus=4, include_dashboard=False, object_store_memory=2**27))
    try: yield c, c.add_node(num_cpus=4, object_store_memory=2**27)
    finally: c.shutdown()


@pytest.mark.slow
def test_ray_loses_nothing_when_a_node_or_the_driver_is_killed(cluster, far, model, truth, tmp_path):
    c, second = cluster
    p = drive(model, far, tmp_path/"a", c.address) # A node is killed while it scores a video
    wait_for_part(tmp_path/"a", p, lambda: scorers(second))
    there = scorers(second)
    c.remove_node(second, allow_graceful=False)
    said = p.communicate(timeout=400)[0]
    assert there and p.returncode == 0 and said.split()[-2:] == ["12", "0"]
    assert not [x for x in there if x.is_running() and x.status() != "zombie"], "a process was left behind"
    same(tmp_path/"a", truth)

    p = drive(model, far, tmp_path/"b", c.address) # The driver is killed, and starts again
    wait_for_part(tmp_path/"b", p)
    p.kill()
    p.communicate()
    said = drive(model, far, tmp_path/"b", c.address).communicate(timeout=400)[0]
    assert 0 < int(said.split()[-2]) < 12
    same(tmp_path/"b", truth)


@pytest.mark.slow
def test_readers_and_networks_apart_make_the_same_rows(cluster, far, model, truth, tmp_path):
    "Decoding and the network in different actors: bit-equal, bad videos are rows, and a killed driver goes on."
    c, _ = cluster
    rows = read_manifest(far)
    gone, rows.loc[0, "path"] = rows.path[0], str(tmp_path/"gone.avi")
    write_manifest(rows, far)
    p = drive(model, far, tmp_path/"r", c.address, 2)
    wait_for_part(tmp_path/"r", p)
    p.kill()
    p.communicate()
    before = len(read_results(tmp_path/"r")[1])
    said = drive(model, far, tmp_path/"r", c.address, 2).communicate(timeout=400)[0]
    assert 0 < before < 12 and said.split()[-2:] == [str(12 - before), "1"]
    t = read_results(tmp_path/"r")[1].set_index("id")
    assert "There is no video" in t.error[rows.id[0]] and t.error.ne("").sum() == 1
    write_manifest(rows.assign(path=[gone, *rows.path[1:]]), far)
    said = run_shard(*score_job(model, device="cpu"), far, tmp_path/"r", processes=1, retry=True, progress=False)
    assert said["scored"] == 1
    same(tmp_path/"r", truth)


def test_cores_are_divided_or_refused():
    from vidcls.engine.cluster import divide_cores
    assert divide_cores(dict(CPU=66, GPU=4), gpus=.5) == (8, 56) and divide_cores(dict(CPU=4), 1, 1) == (1, 1)
    with pytest.raises(ValueError, match="9 processes with the network and 0 that read need 9 cores"): divide_cores(dict(CPU=8), 9)


def test_ray_may_need_a_second_attempt():
    "Ray gives up after half a minute, which is not enough on a busy machine."
    from vidcls.engine.cluster import _start
    class Busy:
        left, stopped = 2, 0
        def init(self, **how):
            self.left -= 1
            if self.left >= 0: raise Exception("The current node timed out during startup.")
            return how
        def shutdown(self): self.stopped += 1
    ray = Busy()
    assert _start(ray, address="local") == dict(address="local") and ray.stopped == 2
    with pytest.raises(Exception, match="timed out"): _start(Busy(), address="auto")


def test_ray_is_started_even_where_a_cluster_runs(monkeypatch):
    "Without an address, Ray itself would connect to any cluster on this machine, and then refuse our number of cores."
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'vidcls[ray]'")
    from vidcls.engine.cluster import ray_session
    asked = []
    monkeypatch.setattr(ray, "init", lambda **how: asked.append(how))
    with ray_session(): pass
    with ray_session("auto"): pass
    assert [h["address"] for h in asked] == ["local", "auto"] and "num_cpus" not in asked[1]


def test_two_drivers_on_one_folder_with_ray(manifest, model, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'vidcls[ray]'")
    from vidcls.engine.cluster import run_ray
    job, identity = score_job(model, device="cpu")
    with Results(tmp_path/"r", identity):
        with pytest.raises(ValueError, match="Another process is writing"): run_ray(job, identity, manifest, tmp_path/"r")
    with pytest.raises(ValueError, match="another job"): run_ray(job, identity | dict(weights="0"), manifest, tmp_path/"r")


@pytest.mark.slow
def test_a_full_disk_with_ray(cluster, manifest, model, truth, little_disk):
    "Before the work and in the middle of it: one sentence, nothing overwritten; with room again, the rest is done."
    from vidcls.engine.cluster import ray_session, run_ray
    job, out, how = score_job(model, device="cpu"), little_disk/"r", dict(actors=1, block_rows=1, progress=False)
    run_shard(*job, manifest, out, "0/4", processes=1, progress=False)
    before = parts(out)
    with ray_session(cluster[0].address):
        for room in (0, 2**15): # For nothing, and for the manifest and a few rows
            fill(little_disk, room)
            with pytest.raises(OSError, match=FULL): run_ray(*job, manifest, out, **how)
            assert before.items() <= parts(out).items()
            (little_disk/"filler").unlink()
        done = len(read_results(out)[1])
        assert 3 < done < 12, "it was not in the middle"
        assert run_ray(*job, manifest, out, **how)["scored"] == 12 - done
    same(out, truth)


def test_readers_need_ray(manifest, model, tmp_path, capsys):
    args = ["predict", str(model), str(manifest), "--out", str(tmp_path/"r")]
    for more in (["--readers", "1"], ["--gpus", "1"]):
        assert main([*args, *more]) == 2 and "add --ray or --ray-address" in capsys.readouterr().err


def test_an_address_where_no_cluster_is(manifest, model, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'vidcls[ray]'")
    from vidcls.engine.cluster import run_ray
    with pytest.raises(OSError, match="There is no Ray cluster at nowhere:1"):
        run_ray(*score_job(model, device="cpu"), manifest, tmp_path/"r", "nowhere:1")


# -- what it would cost elsewhere -------------------------------------------------------------------------------------

def test_a_prediction_worked_out_by_hand():
    "Ten million videos of five views: 20 ms to decode, 100 ms for the network on a core, 180 GFLOP on a GPU."
    from vidcls.engine.costs import Costs, Fleet, predict_time
    c = Costs(views=5, decode_s=.02, forward_s=.1, flops=180e9, core_flops=5e10, file_mb=2, view_mb=2.5, row_kb=1, answer_s=0,
              write_s=.256, start_s=4, block_s=.256, engine_s=80)
    cpu = predict_time(c, Fleet(1000, storage_mb_s=10_000), 10**7)
    assert cpu.bottleneck == "cores" and cpu.start_s == pytest.approx(4.08)
    assert cpu.busy["cores"] == pytest.approx(10**7*(5*.12 + .002)/1000) and cpu.busy["storage"] == pytest.approx(2000, rel=1e-3)
    gpu = Fleet(64, gpus=8, gpu_tflops=1000, mfu=.3, storage_mb_s=10_000, views_mb_s=10_000)
    p = predict_time(c, gpu, 10**7)
    assert p.busy["GPUs"] == pytest.approx(10**7*900e9/(8*3e14)) and p.busy["object store"] == pytest.approx(12_500)
    assert p.bottleneck == "cores" and p.busy["cores"] == pytest.approx(10**7*.102/64)
    assert p.seconds == p.start_s + p.busy["cores"] and p.start_s == pytest.approx((8*4 + 80)/64)
