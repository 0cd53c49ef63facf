#!/usr/bin/env bash
# Run tests with the start method `spawn`, and where Linux allows it, with almost no shared memory: enough for semaphores,
# which take 4 KB each, but not for clips.
#   tests/tools/spawn.sh COMMAND ...
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PYTHONPATH=$root/tests/tools/spawn:$root${PYTHONPATH:+:$PYTHONPATH}
tiny='mount -t tmpfs -o size=256k tmpfs /dev/shm && exec "$@"'
for namespace in -m -rm; do
  if unshare $namespace bash -c 'mount -t tmpfs -o size=256k tmpfs /dev/shm' 2>/dev/null; then
    exec unshare $namespace bash -c "$tiny" bash "$@"
  fi
done
echo "This system does not let us shrink /dev/shm, so only the start method differs." >&2
exec "$@"
