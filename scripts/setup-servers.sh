#!/usr/bin/env bash
# Brings the servers that the full test run needs: PostgreSQL, Redis, NATS, PgBouncer. Safe to repeat; quick when they are there.
# The tests start private instances of their own, so nothing needs to run as a service.
set -euo pipefail

# Debian keeps these off the PATH of ordinary users. Where test/support/servers.ts looks, this looks.
export PATH="$PATH:/usr/local/sbin:/usr/sbin"

has_postgres() {
  compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || { command -v initdb && command -v postgres; } >/dev/null
}

missing=()
has_postgres || missing+=(postgresql)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v nats-server >/dev/null || missing+=(nats-server)
command -v pgbouncer >/dev/null || missing+=(pgbouncer)

if [ ${#missing[@]} -eq 0 ]; then
  echo "setup-servers: postgresql, redis-server, nats-server and pgbouncer are installed; nothing to do"
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  cat >&2 <<'HELP'
setup-servers: there is no apt-get here. Install postgresql, redis-server and nats-server with your package manager, or use Docker:

  docker run -d --rm -p 127.0.0.1:55432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres:15
  docker run -d --rm -p 127.0.0.1:56379:6379 redis:7
  docker run -d --rm -p 127.0.0.1:54222:4222 nats:2 -js
  export TEST_DATABASE_URL=postgres://postgres@127.0.0.1:55432/postgres
  export TEST_REDIS_URL=redis://127.0.0.1:56379
  export TEST_NATS_URL=nats://127.0.0.1:54222
HELP
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup-servers: run as root, or install sudo, to install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi

echo "setup-servers: installing ${missing[*]}"
# RUNLEVEL=1 keeps the packages from starting services that nobody asked for.
install=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}")
# The lists may be absent or stale: in a fresh image they always are.
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" "${install[@]}" >/dev/null
echo "setup-servers: installed ${missing[*]}"
