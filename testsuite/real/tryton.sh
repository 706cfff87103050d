#!/bin/sh
# Starts two real Tryton 6.0 servers, one as a warehouse and one as an ERP, each
# with a database of its own on one scratch PostgreSQL, so that both adapters
# and both simulated systems can be held against the real product.
#
#   testsuite/real/tryton.sh FOLDER          installs what is missing and starts
#   testsuite/real/tryton.sh FOLDER stop     ends what it started
#
# FOLDER keeps everything: databases, logs, process ids. Afterwards:
#
#   TRUEUP_REAL_TRYTON_WAREHOUSE=http://127.0.0.1:8712/warehouse/ go test ./activities/warehouse/tryton
#   TRUEUP_REAL_TRYTON_ERP=http://127.0.0.1:8713/erp/ go test ./activities/erp/tryton
#
# The user is admin, the password admin. Debian 12; only loopback is listened on.
set -eu

work=${1:?usage: tryton.sh FOLDER [stop]}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work"
work=$(cd "$work" && pwd)
pg_port=${TRUEUP_PG_PORT:-8711}
warehouse_port=${TRUEUP_WAREHOUSE_PORT:-8712}
erp_port=${TRUEUP_ERP_PORT:-8713}
pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)

# PostgreSQL refuses to run as root.
as_postgres() {
	if [ "$(id -u)" = 0 ]; then
		su postgres -s /bin/sh -c "$1"
	else
		sh -c "$1"
	fi
}

stop() {
	for name in warehouse erp; do
		if [ -f "$work/$name.pid" ]; then
			kill "$(cat "$work/$name.pid")" 2>/dev/null || true
			rm -f "$work/$name.pid"
		fi
	done
	if [ -d "$work/pg/data" ]; then
		as_postgres "$pg_bin/pg_ctl -D $work/pg/data -m fast stop" >/dev/null 2>&1 || true
	fi
}

install_packages() {
	if command -v trytond >/dev/null && [ -n "$pg_bin" ] && /usr/bin/python3 -c 'import proteus, psycopg2, trytond.modules.sale' 2>/dev/null; then
		return
	fi
	apt-get install -y --no-install-recommends postgresql python3-psycopg2 tryton-server tryton-proteus \
		tryton-modules-sale tryton-modules-stock tryton-modules-account-invoice tryton-modules-account-invoice-stock
	pg_bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
}

start_postgres() {
	mkdir -p "$work/pg"
	if [ "$(id -u)" = 0 ]; then
		chown postgres "$work/pg"
	fi
	if [ ! -d "$work/pg/data" ]; then
		as_postgres "$pg_bin/initdb -D $work/pg/data -U postgres -A trust -E UTF8 --locale=C.UTF-8" >"$work/initdb.log" 2>&1
	fi
	if ! as_postgres "$pg_bin/pg_ctl -D $work/pg/data status" >/dev/null 2>&1; then
		as_postgres "$pg_bin/pg_ctl -D $work/pg/data -w -l $work/pg/log -o '-p $pg_port -c listen_addresses=127.0.0.1 -k $work/pg -c fsync=off -c synchronous_commit=off' start" >/dev/null
	fi
}

# configure NAME PORT
configure() {
	cat >"$work/$1.conf" <<END
[database]
uri = postgresql://postgres@127.0.0.1:$pg_port
[web]
listen = 127.0.0.1:$2
[session]
timeout = 86400
max_age = 864000
END
}

# fill NAME MODULES makes the database, once.
fill() {
	if [ -f "$work/$1.filled" ]; then
		return
	fi
	psql="-h 127.0.0.1 -p $pg_port -U postgres"
	# shellcheck disable=SC2086
	dropdb $psql --if-exists "$1" && createdb $psql -E UTF8 -T template0 "$1"
	echo admin >"$work/password"
	export TRYTONPASSFILE="$work/password"
	trytond-admin -c "$work/$1.conf" -d "$1" --all --email admin@example.com
	# shellcheck disable=SC2086
	trytond-admin -c "$work/$1.conf" -d "$1" -u $2 --activate-dependencies
	TRYTOND_DATABASE_URI="postgresql://postgres@127.0.0.1:$pg_port" \
		/usr/bin/python3 "$here/tryton_setup.py" "$1" "postgresql://postgres@127.0.0.1:$pg_port/$1" "$work/$1.conf"
	touch "$work/$1.filled"
}

# serve NAME PORT
serve() {
	if [ -f "$work/$1.pid" ] && kill -0 "$(cat "$work/$1.pid")" 2>/dev/null; then
		return
	fi
	trytond -c "$work/$1.conf" -d "$1" --pidfile "$work/$1.pid" >"$work/$1.log" 2>&1 &
	tries=0
	until curl -s -o /dev/null -m 2 "http://127.0.0.1:$2/"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 100 ]; then
			echo "tryton.sh: the $1 server does not answer; see $work/$1.log" >&2
			exit 1
		fi
		sleep 0.2
	done
}

if [ "${2:-start}" = stop ]; then
	stop
	exit 0
fi
install_packages
start_postgres
configure warehouse "$warehouse_port"
configure erp "$erp_port"
fill warehouse "stock" >"$work/warehouse-fill.log" 2>&1 &
filling=$!
fill erp "sale account_invoice_stock" >"$work/erp-fill.log" 2>&1 || { cat "$work/erp-fill.log" >&2; exit 1; }
wait "$filling" || { cat "$work/warehouse-fill.log" >&2; exit 1; }
serve warehouse "$warehouse_port"
serve erp "$erp_port"
echo "warehouse: http://127.0.0.1:$warehouse_port/warehouse/   erp: http://127.0.0.1:$erp_port/erp/"
