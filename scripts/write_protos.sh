#!/usr/bin/env bash
# Writes the modules of every .proto beside it: NAME_pb2.py and its types, NAME_pb2.pyi. They are committed: a node needs
# no compiler. grpcio-tools 1.71.2, since what it writes runs with protobuf 5, 6 and 7; newer ones' runs with 7 alone.
# Needs a virtual environment of its own (build/protos, made here), for it brings an older protobuf along.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=build/protos
if [ ! -x $VENV/bin/protoc-gen-mypy ]; then
    python3 -m venv $VENV
    $VENV/bin/python -m pip install --quiet --disable-pip-version-check grpcio-tools==1.71.2 mypy-protobuf==3.6.0 'setuptools<81'
fi
find namespace regioncache gateway -path '*/proto/*.proto' | sort | while read -r file; do
    PATH=$VENV/bin:$PATH $VENV/bin/python -m grpc_tools.protoc -I. --python_out=. --mypy_out=quiet:. "$file"
    printf 'wrote %s\n' "${file%.proto}_pb2.py"
done
