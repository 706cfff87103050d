#!/bin/sh
# Installs Stripe's own stripe-mock, which checks requests against Stripe's
# OpenAPI, and runs it on loopback until it is interrupted.
#
#   testsuite/real/stripe-mock.sh WORKFOLDER [PORT]
#   TRUEUP_REAL_STRIPE_MOCK=http://127.0.0.1:8741 go test ./activities/payment/stripe/
set -eu
work=${1:?"usage: $0 WORKFOLDER [PORT]"}
port=${2:-8741}
mkdir -p "$work/bin"
work=$(cd "$work" && pwd)
if [ ! -x "$work/bin/stripe-mock" ]; then
	GOBIN="$work/bin" go install github.com/stripe/stripe-mock@v0.203.0
fi
echo "TRUEUP_REAL_STRIPE_MOCK=http://127.0.0.1:$port"
exec "$work/bin/stripe-mock" -http-addr "127.0.0.1:$port"
