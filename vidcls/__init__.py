__version__ = "0.1.0"

import os as _os, warnings as _warnings

# PyTorch's threads wait by spinning. Beside data workers, on as many cores as threads, they spin against the very workers
# that they wait for, and a step takes several times as long. Read when torch is first imported; a value of yours is kept.
_os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_warnings.filterwarnings("ignore", "IProgress not found") # Other packages import tqdm.auto; plain bars will do
