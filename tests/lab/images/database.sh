#!/bin/sh
# What the official image of PostgreSQL does at its start, as far as docker-compose.yml relies on it: the first start
# makes the cluster with the administrator's password and runs what lies in /docker-entrypoint-initdb.d, while it answers
# on its socket only. For tests on machines that reach no registry of images.
set -eu
data=/var/lib/postgresql/data there=/docker-entrypoint-initdb.d
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
if [ "$(id -u)" = 0 ]; then
  install -d -m 700 -o postgres -g postgres "$data"
  install -d -m 755 -o postgres -g postgres /var/run/postgresql
  exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi
if [ ! -s "$data/PG_VERSION" ]; then
  initdb -D "$data" -U postgres -E UTF8 --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256
  echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
  pg_ctl -D "$data" -o "-c listen_addresses=''" -w start
  for file in "$there"/*.sql; do psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc -U postgres -d postgres -f "$file"; done
  pg_ctl -D "$data" -m fast -w stop
fi
exec postgres -D "$data" -c listen_addresses='*'
