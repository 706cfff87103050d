#!/bin/sh
# Holds the HubSpot adapter and the simulated CRM against HubSpot's official
# client for Node.js, which is generated from HubSpot's published description.
# There is no HubSpot to install; this is as near as one gets without an account.
#
#   testsuite/real/hubspot-contract.sh WORK-FOLDER
#
# Needs: Debian's nodejs and npm (or any Node 20 or later), Go.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 WORK-FOLDER" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
if [ ! -d "$work/node_modules/@hubspot/api-client" ]; then
	(cd "$work" && npm init -y >/dev/null && npm install --no-audit --no-fund @hubspot/api-client@14.0.1)
fi
cd "$here"
TRUEUP_REAL_HUBSPOT="$work" exec go test -count=1 -run 'TestOfficialClient|TestContract' -v ./activities/crm/hubspot/
