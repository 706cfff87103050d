#!/bin/sh
# Builds the engine: build.sh OUTPUT
#
# Does nothing, and says nothing, when OUTPUT was built from the sources as they are now; OUTPUT.sources keeps their
# checksum. Go's own check would take seconds at every call. Needs go and POSIX tools only.
set -eu

if [ $# -ne 1 ]; then
	echo "usage: build.sh OUTPUT" >&2
	exit 1
fi
case $1 in
/*) output=$1 ;;
*) output=$(pwd)/$1 ;;
esac
cd "$(dirname "$0")"

# The module stands alone, whatever workspace the caller is in.
GOWORK=off
export GOWORK
if ! compiler=$(go version 2>/dev/null); then
	echo "building the engine: no go command found; install Go $(sed -n 's/^go //p' go.mod) or later" >&2
	exit 1
fi

sources=$(
	for file in *.go go.mod go.sum build.sh; do
		case $file in *_test.go) ;; *) cksum "$file" ;; esac
	done
	echo "$compiler"
)
if [ -x "$output" ] && [ -f "$output.sources" ] && [ "$sources" = "$(cat "$output.sources")" ]; then
	exit 0
fi

mkdir -p "$(dirname "$output")"
partial=$output.partial.$$
log=$partial.log
build=
trap 'rm -f "$partial" "$log"' EXIT
# The shell lets a background build ignore Ctrl-C, so it is ended here.
trap 'if [ -n "$build" ]; then kill "$build" 2>/dev/null || :; fi; exit 130' INT HUP TERM

failed() {
	echo "building the engine failed while $1:" >&2
	tail -n 20 "$log" >&2
	exit 1
}

echo "building the embedded Temporal server ..." >&2
# Listing also downloads the modules that are missing.
stale=$(go list -deps -f '{{if .Stale}}x{{end}}' . 2>"$log") || failed "downloading its modules; is the Go module proxy reachable"
total=$(printf '%s\n' "$stale" | grep -c x || :)
if [ "$total" -gt 100 ]; then
	echo "the first build takes some minutes: $total packages to compile" >&2
fi

# -s -w leave out what only a debugger needs, a third of the size. No -trimpath: it would compile every package a
# second time on a machine that has built the server before.
go build -v -ldflags "-s -w" -o "$partial" . >"$log" 2>&1 &
build=$!
seconds=0
while kill -0 "$build" 2>/dev/null; do
	sleep 1
	seconds=$((seconds + 1))
	if [ $((seconds % 10)) -eq 0 ]; then
		compiled=$(grep -c . "$log" || :)
		if [ "$compiled" -ge "$total" ]; then
			echo "  all packages compiled, linking ($seconds s)" >&2
		else
			echo "  $compiled of $total packages compiled ($seconds s)" >&2
		fi
	fi
done
wait "$build" || failed "compiling"
build=
mv -f "$partial" "$output"
printf '%s\n' "$sources" >"$output.sources"
