#!/bin/sh
# Starts the edge in its container. ECS gives secrets as variables, the edge reads files: certificate and key are written to the task's own
# volume, and taken out of the environment.
set -eu
if [ -n "${GOPCAST_TLS_CERT_PEM:-}" ] && [ -n "${GOPCAST_TLS_KEY_PEM:-}" ]; then
    umask 077
    printf '%s\n' "$GOPCAST_TLS_CERT_PEM" >"$GOPCAST_TLS_CERT"
    printf '%s\n' "$GOPCAST_TLS_KEY_PEM" >"$GOPCAST_TLS_KEY"
fi
unset GOPCAST_TLS_CERT_PEM GOPCAST_TLS_KEY_PEM
exec /usr/local/bin/ingest-edge "$@"
