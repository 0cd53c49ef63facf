"Put this folder on PYTHONPATH, and Python starts processes as it does on macOS and Windows: `make test-spawn`."
import multiprocessing

multiprocessing.get_all_start_methods = lambda: ["spawn", "fork", "forkserver"]
multiprocessing.set_start_method("spawn", force=True)
