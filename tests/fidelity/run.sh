#!/bin/sh
# Recomputes flat maps, pictures, targets and the prior on fsaverage5 with the original Python packages, and holds
# the program's own output against them. Needs Python 3.11 or later with pip and venv, and about 450 MB below .tools/.
set -eu
cd "$(dirname "$0")/../.."

fail() {
    echo "error: $1" >&2
    exit 3
}

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "the original packages need Python 3.11 or later; name one with PYTHON=python3.12"

# The environment is named by what is in it, and marked complete at the very end.
tools=.tools/fidelity
wanted=$(cksum tests/fidelity/requirements.txt | cut -d' ' -f1)
if [ "$(cat "$tools/complete" 2>/dev/null)" != "$wanted" ]; then
    echo "making a Python environment with the original packages in $tools" >&2
    rm -rf "$tools"
    mkdir -p "$tools"
    "$python" -m venv "$tools/venv" || fail "python has no venv; on Debian and Ubuntu: apt-get install python3-venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes \
        -r tests/fidelity/requirements.txt ||
        fail "pip could not install the original packages"
    echo "$wanted" >"$tools/complete"
fi

packages=$("$tools/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$tools/ours"
cargo run --release --quiet --locked -p pipe-stages --example fidelity -- \
    "$packages/nilearn/datasets/data/fsaverage5" "$packages/neuropythy/lib/data/fsaverage/surf" "$tools/ours"
exec "$tools/venv/bin/python" tests/fidelity/compare.py "$tools/ours" "$@"
