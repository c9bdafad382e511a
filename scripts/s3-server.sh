#!/usr/bin/env bash
# A real S3 server for the tests: one Ceph monitor, one OSD that keeps everything in memory, one RADOS Gateway.
#
#   scripts/s3-server.sh install   install Ceph from the distribution's packages, when missing (needs root)
#   scripts/s3-server.sh start     start it (installing first if need be) and print its settings as NAME=value
#   scripts/s3-server.sh stop      stop what `start` started in the same folder, and delete the folder
#
# Environment: S3_SERVER_DIR  folder for state and logs  (default: callvault-s3-<uid> in the temporary folder)
#              S3_SERVER_PORT gateway; +1 is the monitor's, +2 to +20 the OSD's  (default: 7480)
#
# For tests only: it listens on 127.0.0.1 without internal authentication and forgets everything when it stops.
set -euo pipefail

DIR=${S3_SERVER_DIR:-${TMPDIR:-/tmp}/callvault-s3-$(id -u)}
PORT=${S3_SERVER_PORT:-7480}
PACKAGES=(ceph-mon ceph-osd radosgw curl)
START_SECONDS=60

export CEPH_CONF=$DIR/ceph.conf
export CEPH_ARGS="--conf $CEPH_CONF"

say() { printf 's3-server: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

installed() {
  local program
  for program in curl ceph monmaptool ceph-mon ceph-osd radosgw radosgw-admin; do
    command -v "$program" >/dev/null || return 1
  done
}

install_packages() {
  if installed; then return; fi
  [ "$(id -u)" = 0 ] || fail "Ceph is missing. As root: apt-get install --no-install-recommends ${PACKAGES[*]}"
  command -v apt-get >/dev/null || fail "Ceph is missing, and there is no apt-get to install it with"
  say "installing ${PACKAGES[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}" >&2
  installed || fail "the packages did not bring all of Ceph's programs"
}

# A recorded process is ours only while it still runs the program it was started with: process ids are used again,
# and one that has ended but was not collected has an empty command line.
runs() {
  local name=$1 program=$2 pid
  pid=$(cat "$DIR/$name.pid" 2>/dev/null) || return 1
  { tr '\0' '\n' <"/proc/$pid/cmdline" | head -1 | grep -q "$program\$"; } 2>/dev/null
}

launch() {
  local name=$1 program=$2
  shift 2
  nohup setsid "$program" -f "$@" >"$DIR/$name.log" 2>&1 </dev/null &
  echo $! >"$DIR/$name.pid"
}

end() {
  local name=$1 program=$2 pid attempt
  if runs "$name" "$program"; then
    pid=$(cat "$DIR/$name.pid")
    kill -TERM "$pid"
    for attempt in $(seq 100); do
      runs "$name" "$program" || break
      sleep 0.05
    done
    if runs "$name" "$program"; then kill -KILL "$pid"; fi
  fi
  rm -f "$DIR/$name.pid"
}

stop_all() {
  end gateway radosgw
  end osd ceph-osd
  end monitor ceph-mon
  rm -rf "$DIR"
}

answers() { curl -fsS -o /dev/null --max-time 1 "http://127.0.0.1:$PORT/" 2>/dev/null; }

wait_for_gateway() {
  while [ "$SECONDS" -lt "$START_SECONDS" ]; do
    if answers; then return; fi
    runs monitor ceph-mon || fail "the monitor ended, see $DIR/monitor.log"
    runs osd ceph-osd || fail "the OSD ended, see $DIR/osd.log"
    runs gateway radosgw || fail "the gateway ended, see $DIR/gateway.log"
    sleep 0.1
  done
  fail "the gateway did not answer within $START_SECONDS s, see $DIR"
}

# Why the less obvious settings:
#   ms mon client mode   the gateway insists on encryption by default, which does not exist without authentication: it hangs
#   paxos ...            the monitor waits for company before it decides; alone it need not
#   rgw gc ...           otherwise a deleted object stays in memory for two hours
#   tcp_nodelay          otherwise each small answer waits some 40 ms for an acknowledgement
write_settings() {
  cat >"$CEPH_CONF" <<SETTINGS
[global]
fsid = $1
mon host = [v2:127.0.0.1:$((PORT + 1))]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
ms bind ipv6 = false
ms bind msgr1 = false
ms bind port min = $((PORT + 2))
ms bind port max = $((PORT + 20))
ms mon client mode = crc
auth cluster required = none
auth service required = none
auth client required = none
run dir = $DIR
admin socket = $DIR/\$name.asok
log file = $DIR/\$name.ceph.log
mon cluster log file = $DIR/cluster.ceph.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
[mon]
mon data = $DIR/monitor
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 2
mon data avail crit = 1
mon tick interval = 1
paxos propose interval = 0.02
paxos min wait = 0.01
[osd]
osd data = $DIR/osd
osd objectstore = memstore
memstore device bytes = 8589934592
[client]
rgw data = $DIR/gateway
rgw frontends = beast endpoint=127.0.0.1:$PORT tcp_nodelay=1
rgw crypt require ssl = false
rgw gc obj min wait = 1
rgw gc processor period = 1
SETTINGS
}

# Made here, so that the first request to each does not have to wait for them.
make_pools() {
  local pool
  for pool in .rgw.root default.rgw.{log,control,meta,buckets.index,buckets.data,buckets.non-ec}; do
    printf 'osd pool create %s 4 4 replicated\nosd pool application enable %s rgw\n' "$pool" "$pool"
  done | ceph --connect-timeout "$START_SECONDS" >"$DIR/pools.log" 2>&1
}

random_hex() { od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'; }

write_account() {
  printf '%s\n' "S3_ENDPOINT=http://127.0.0.1:$PORT" S3_REGION=default S3_FORCE_PATH_STYLE=true \
    "S3_ACCESS_KEY_ID=$1" "S3_SECRET_ACCESS_KEY=$2" >"$DIR/account"
}

start() {
  local fsid osd access_key secret_key
  install_packages
  if [ -s "$DIR/account" ] && runs gateway radosgw && answers; then
    cat "$DIR/account"
    return
  fi
  stop_all
  if answers; then fail "port $PORT is taken by another server"; fi
  mkdir -p "$DIR"/{monitor,osd,gateway}
  chmod 700 "$DIR"
  # Half a server is of no use to anybody; its logs are.
  trap 'say "could not start; last words:"; tail -n 3 "$DIR"/*.log >&2 || true; stop_all' EXIT
  fsid=$(cat /proc/sys/kernel/random/uuid)
  osd=$(cat /proc/sys/kernel/random/uuid)
  access_key=$(random_hex 10)
  secret_key=$(random_hex 20)
  write_settings "$fsid"
  monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$((PORT + 1))]" "$DIR/monmap" >"$DIR/mkfs.log" 2>&1
  ceph-mon --mkfs -i a --monmap "$DIR/monmap" >>"$DIR/mkfs.log" 2>&1
  launch monitor ceph-mon -i a
  ceph --connect-timeout "$START_SECONDS" osd new "$osd" 0 >>"$DIR/mkfs.log" 2>&1
  ceph-osd --mkfs -i 0 --osd-uuid "$osd" >>"$DIR/mkfs.log" 2>&1
  launch osd ceph-osd -i 0
  make_pools
  launch gateway radosgw -n client.rgw
  wait_for_gateway
  radosgw-admin user create --uid=callvault --display-name=callvault \
    --access-key="$access_key" --secret-key="$secret_key" >"$DIR/user.log" 2>&1
  write_account "$access_key" "$secret_key"
  trap - EXIT
  cat "$DIR/account"
}

case ${1:-} in
  install) install_packages ;;
  start) start ;;
  stop) stop_all ;;
  *) fail "usage: $0 install|start|stop" ;;
esac
