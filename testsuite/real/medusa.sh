#!/bin/sh
# Installs and starts the real inventory, Medusa 2.21.2 on a private
# PostgreSQL, so that the adapter's tests can run against it:
#
#	testsuite/real/medusa.sh WORK          install what is missing and start
#	testsuite/real/medusa.sh WORK stop     stop both
#
# It needs Debian's postgresql and Node 20 or newer with npm; the first run
# takes some minutes. Everything lies in the folder WORK and listens on
# loopback: PostgreSQL on PG_PORT (8541), Medusa on PORT (8502). As root the
# database runs as the user postgres, who must be able to enter WORK.
set -eu

work=${1:?usage: medusa.sh WORK [stop]}
pg_port=${PG_PORT:-8541}
port=${PORT:-8502}
version=2.21.2
mkdir -p "$work"
work=$(cd "$work" && pwd)
pgbin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)

as_postgres() {
	if [ "$(id -u)" = 0 ]; then su postgres -c "$1"; else sh -c "$1"; fi
}

stop() {
	if [ -f "$work/medusa.pid" ]; then
		kill "$(cat "$work/medusa.pid")" 2>/dev/null || true
		rm -f "$work/medusa.pid"
	fi
	if [ -f "$work/pg/data/postmaster.pid" ]; then
		as_postgres "$pgbin/pg_ctl -D '$work/pg/data' -m fast -w stop" >/dev/null
	fi
}

install_medusa() {
	mkdir -p "$work/medusa/src"
	cd "$work/medusa"
	cat >package.json <<JSON
{
  "name": "inventory", "version": "1.0.0", "private": true,
  "dependencies": {
    "@medusajs/medusa": "$version", "@medusajs/framework": "$version", "@medusajs/cli": "$version"
  },
  "devDependencies": {"@swc/core": "^1.7.28", "typescript": "^5.6.2", "ts-node": "^10.9.2"}
}
JSON
	cat >medusa-config.js <<JS
const { defineConfig } = require("@medusajs/framework/utils")
module.exports = defineConfig({
  admin: { disable: true },
  projectConfig: {
    databaseUrl: "postgres://postgres@127.0.0.1:$pg_port/medusa",
    databaseDriverOptions: { connection: { ssl: false } },
    http: { storeCors: "*", adminCors: "*", authCors: "*", jwtSecret: "x", cookieSecret: "x" }
  }
})
JS
	[ -f .installed ] || npm install --no-fund --no-audit >"$work/npm.log" 2>&1
	touch .installed
}

start_postgres() {
	if [ ! -f "$work/pg/data/PG_VERSION" ]; then
		mkdir -p "$work/pg"
		[ "$(id -u)" != 0 ] || chown postgres "$work/pg"
		as_postgres "$pgbin/initdb -D '$work/pg/data' -U postgres -A trust -E UTF8 --locale=C.UTF-8" >"$work/initdb.log" 2>&1
	fi
	if ! "$pgbin/pg_isready" -q -h 127.0.0.1 -p "$pg_port"; then
		as_postgres "$pgbin/pg_ctl -D '$work/pg/data' -w -l '$work/pg/log' -o '-p $pg_port -c listen_addresses=127.0.0.1 -k $work/pg -c fsync=off -c synchronous_commit=off' start" >/dev/null
	fi
}

prepare() {
	cd "$work/medusa"
	[ ! -f .prepared ] || return 0
	"$pgbin/createdb" -h 127.0.0.1 -p "$pg_port" -U postgres -T template0 medusa 2>/dev/null || true
	npx medusa db:migrate --skip-links >"$work/migrate.log" 2>&1
	npx medusa db:sync-links --execute-all >>"$work/migrate.log" 2>&1
	npx medusa user -e admin@example.com -p supersecret >>"$work/migrate.log" 2>&1
	touch .prepared
}

answers() {
	node -e "fetch('http://127.0.0.1:$port/health').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"
}

start_medusa() {
	cd "$work/medusa"
	! answers || return 0
	HOST=127.0.0.1 PORT=$port nohup node node_modules/@medusajs/cli/cli.js start >"$work/medusa.log" 2>&1 &
	echo $! >"$work/medusa.pid"
	tries=0
	until answers; do
		tries=$((tries + 1))
		[ "$tries" -lt 120 ] || { echo "Medusa does not answer; see $work/medusa.log" >&2; exit 1; }
		sleep 1
	done
}

if [ "${2:-start}" = stop ]; then
	stop
	exit
fi
export MEDUSA_DISABLE_TELEMETRY=1 NODE_ENV=development
install_medusa
start_postgres
prepare
start_medusa
echo "TRUEUP_REAL_MEDUSA=http://127.0.0.1:$port TRUEUP_REAL_MEDUSA_EMAIL=admin@example.com TRUEUP_REAL_MEDUSA_PASSWORD=supersecret"
