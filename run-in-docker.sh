#!/bin/sh
# Runs a router from the image `data-putter` (build-docker.sh), its data in the volume `data-putter`.
# S3 is on http://127.0.0.1:9000; root's access key is what the first start shows, or DATA_PUTTER_ACCESS_KEY and DATA_PUTTER_SECRET_KEY.
# Arguments replace the command: ./run-in-docker.sh router --root /data --bind 0.0.0.0 --durability os
# REDIS_HOSTPORT=host:port, if set, is handed on; as seen from the container, 127.0.0.1 is not this machine.
set -eu
tty=""
if [ -t 0 ] && [ -t 1 ]; then tty="--tty"; fi
exec docker run --rm --interactive $tty --name data-putter --stop-timeout 15 \
  --publish 127.0.0.1:9000:9000 --publish 127.0.0.1:5001:5001 --publish 127.0.0.1:5002:5002 \
  --volume data-putter:/data \
  --env REDIS_HOSTPORT --env DATA_PUTTER_KEY --env DATA_PUTTER_ACCESS_KEY --env DATA_PUTTER_SECRET_KEY \
  data-putter "$@"
