#!/bin/sh
# Builds the image `data-putter` from this folder. Arguments go to `docker build`.
set -eu
cd "$(dirname "$0")"
exec docker build --tag data-putter "$@" .
