#!/usr/bin/env bash
# Puts a new version into production: pre-flight, build, tag, backup, start, verification; when the new version does
# not become healthy, the previous one is started again.
#
#   scripts/deploy_production.sh [--dry-run] [--tag TAG] [--timeout SECONDS] [--backups DIRECTORY] [--skip-doctor]
#
# Exit codes: 0 deployed; 1 refused before anything was changed; 3 rolled back to the previous version;
# 4 rolled back, and that is not healthy either: look now.
# Environment: COMPOSE_FILE and COMPOSE_PROJECT_NAME mean what Compose says they mean.
set -euo pipefail
cd "$(dirname "$0")/.."

dry_run='' tag='' timeout_s=420 backups=backups skip_doctor=''
daemons=(trainer validator live data practice)
volumes=(checkpoints training_state validation_state live_state practice_state)

say() { printf '%s %s\n' "$(date -u +%H:%M:%SZ)" "$*" >&2; }
refuse() { say "refused: $*"; exit 1; }
# What changes something; in a dry run only shown.
change() { if [ -n "$dry_run" ]; then say "would run: $*"; else "$@"; fi; }

while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) dry_run=1 ;;
    --skip-doctor) skip_doctor=1 ;;
    --tag) tag=${2:?--tag wants a name}; shift ;;
    --timeout) timeout_s=${2:?--timeout wants seconds}; shift ;;
    --backups) backups=${2:?--backups wants a directory}; shift ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) refuse "unknown option $1; --help explains" ;;
  esac
  shift
done

if [ -z "$tag" ]; then
  commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unversioned)
  tag="$(date -u +%Y%m%d-%H%M%S)-$commit"
fi
[[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$ ]] || refuse "'$tag' is no tag"

container_of() { docker compose ps -a -q "$1"; }

# The tag that runs now: what is rolled back to.
running_tag() {
  local id image
  id=$(container_of live | head -n 1)
  [ -n "$id" ] || return 0
  image=$(docker inspect -f '{{.Config.Image}}' "$id") || return 0
  case $image in *:*) printf '%s\n' "${image##*:}" ;; esac
}

compose_at() { local at=$1; shift; SWT_TAG=$at docker compose "$@"; }

# Every container of the stack is healthy, twice in a row, within the time.
verify() {
  local end=$((SECONDS + timeout_s)) well=0 id name state unwell
  while [ $SECONDS -lt $end ]; do
    unwell=''
    for name in $(docker compose config --services); do
      id=$(container_of "$name" | head -n 1)
      state=absent
      [ -z "$id" ] || state=$(docker inspect -f '{{.State.Status}}/{{if .State.Health}}{{.State.Health.Status}}{{end}}' "$id")
      [ "$state" = running/healthy ] || unwell="$unwell $name=$state"
    done
    if [ -z "$unwell" ]; then
      well=$((well + 1))
      if [ $well -ge 2 ]; then say 'every container is healthy'; return 0; fi
    else
      well=0
    fi
    sleep "${SWT_DEPLOY_POLL_SECONDS:-5}"
  done
  say "not healthy within $timeout_s s:$unwell"
  return 1
}

# The state volumes as archives; the daemons are stopped meanwhile, so that a journal is whole.
backup() {
  local directory=$1 image=$2 project volume
  project=$(docker compose config | sed -n 's/^name: //p') || return 1
  mkdir -p "$directory" && chmod 700 "$directory" || return 1
  for volume in "${volumes[@]}"; do
    docker volume inspect "${project}_$volume" >/dev/null 2>&1 || continue
    docker run --rm --network none --read-only --user 0:0 --cap-drop ALL --cap-add DAC_READ_SEARCH \
      -v "${project}_$volume:/volume:ro" --entrypoint tar "$image" -C /volume -cf - . |
      gzip > "$directory/$volume.tar.gz.part" || return 1
    mv "$directory/$volume.tar.gz.part" "$directory/$volume.tar.gz" || return 1
  done
  say "state is saved in $directory"
}

roll_back() {
  if [ -z "$previous" ]; then
    say 'there is no previous version: the new one is left for a look; "docker compose down" stops it'
    exit 4
  fi
  say "rolling back to $previous"
  if compose_at "$previous" up -d --no-build && verify; then
    say "version $previous runs again; state as of before is in ${saved:-no backup}"
    exit 3
  fi
  say 'the previous version is not healthy either: look now ("swt emergency-close" closes at the broker)'
  exit 4
}

# --- pre-flight: nothing is changed -----------------------------------------------------------------------------
command -v docker >/dev/null || refuse 'there is no docker here'
docker compose version >/dev/null 2>&1 || refuse 'docker has no compose'
docker version -f '{{.Server.Version}}' >/dev/null 2>&1 || refuse 'no docker engine answers'
[ -f .env ] || say 'note: there is no .env, so the stack trades a synthetic market at the embedded broker'
docker compose config -q || refuse 'the compose file or .env is not valid'
previous=$(running_tag)
[ "$previous" != "$tag" ] || refuse "version $tag runs already: give another --tag, or nothing could be rolled back to"
say "version $tag; running now: ${previous:-nothing}"

change compose_at "$tag" build
if [ -z "$skip_doctor" ]; then
  # In the new image, with the trader's own variables: what it would meet.
  change compose_at "$tag" run --rm --no-deps -T live doctor || refuse 'swt doctor found a failure; --skip-doctor goes on'
fi

# --- change -----------------------------------------------------------------------------------------------------
saved=''
if [ -n "$previous" ]; then
  saved="$backups/$(date -u +%Y%m%d-%H%M%S)-before-$tag"
  say 'stopping the daemons: a position stays at the broker and is reconciled at the start'
  change docker compose stop live
  change docker compose stop "${daemons[@]}"
  change backup "$saved" "swt:$previous" || roll_back
fi
change compose_at "$tag" up -d --no-build || roll_back
if [ -n "$dry_run" ]; then say 'dry run: nothing was changed'; exit 0; fi
verify || roll_back
# What `docker compose` by hand uses from now on.
docker tag "swt:$tag" swt:latest
say "version $tag runs"
