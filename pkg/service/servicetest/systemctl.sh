#!/bin/sh
# A stand-in for systemctl, for tests and demos on machines without systemd.
#
# It is used in place of the real one by putting a copy of it, named systemctl, first in PATH. What
# it knows is below a directory beside that copy, whose name ends in ".d":
#
#   systemctl.d/bmad-forge.service/unit     ExecStart=, Restart=, RestartSec=, TimeoutStopSec=,
#                                           TriggeredBy=, StartDelay=, StopDelay= (one a line; an
#                                           empty file is a unit of which only the state is kept)
#   systemctl.d/bmad-forge.service/state    written here: what "show" says
#   systemctl.d/bmad-forge.service/log      written here: what its command prints
#   systemctl.d/owner                       a process id: when that process has ended, so do the
#                                           commands that were started
#
# States, exit codes and messages are those of systemd 252. Files that make it misbehave:
#
#   <unit>/hold-start, <unit>/hold-stop     the job does not end as long as the file is there
#   <unit>/fail-start                       the start fails; the file holds the Result
#   <unit>/come-back                        runs again after so many stops; the file holds the number
#   systemctl.d/bus                         nosystemd | nobus | chroot | denied: what all calls meet
set -u

case $0 in /*) self=$0 ;; *) self=$PWD/$0 ;; esac
root=$self.d

say() { printf '%s\n' "$*" >&2; }

# ---- what is known of a unit ---------------------------------------------------------------

# use makes "unit" and "dir" the unit that is meant.
use() {
  unit=$1
  case $unit in *.service | *.socket | *.timer | *.target | *.path) ;; *) unit=$unit.service ;; esac
  dir=$root/$unit
}

exists() { [ -f "$dir/unit" ]; }

setting() { sed -n "s/^$1=//p" "$dir/unit" 2>/dev/null | tail -n 1; }

put() { # ActiveState SubState Result MainPID
  printf 'ActiveState=%s\nSubState=%s\nResult=%s\nMainPID=%s\n' "$@" >"$dir/state.$$" && mv "$dir/state.$$" "$dir/state"
}

load() {
  ActiveState=inactive SubState=dead Result=success MainPID=0
  # shellcheck source=/dev/null
  if [ -f "$dir/state" ]; then . "$dir/state"; fi
}

invocation() { tr -d '-' </proc/sys/kernel/random/uuid >"$dir/invocation"; }

content() { cat "$1" 2>/dev/null || :; }

# ---- a unit's command, and who watches over it --------------------------------------------

# watch is the part of systemd that starts a command, sees it end and starts it again. It is a
# process of its own, leader of a session, and so is each command.
watch() {
  use "$1"
  echo $$ >"$dir/runner"
  trap '' HUP
  owner=$(content "$root/owner")
  if [ -n "$owner" ]; then
    (
      # Who removes the directory wants everything to end as well.
      while kill -0 "$owner" 2>/dev/null && [ -d "$dir" ]; do
        now=$(content "$dir/main")
        main=${now:-${main:-}}
        sleep 0.3
      done
      kill -KILL "-$main" 2>/dev/null
      kill -KILL -$$
    ) &
  fi
  trap 'trap "" TERM; kill -TERM -$$' EXIT # the subshell above
  restarts=0
  while :; do
    setsid sh -c "$(setting ExecStart)" </dev/null >>"$dir/log" 2>&1 &
    main=$!
    # It can be signalled as a group from the moment on at which it is one.
    while kill -0 "$main" 2>/dev/null && ! kill -0 "-$main" 2>/dev/null; do :; done
    echo "$main" >"$dir/main"
    [ -e "$dir/stopping" ] || put active running success "$main"
    code=0
    wait "$main" || code=$?
    kill -KILL "-$main" 2>/dev/null # what is left of its group
    [ -e "$dir/stopping" ] && exit 0
    case $code in
      0 | 129 | 130 | 141 | 143) result=success ;; # TERM, INT, HUP and PIPE are a clean end
      13[0-9] | 14[0-9]) result=signal ;;
      *) result=exit-code ;;
    esac
    case $(setting Restart)-$result in
      always-* | on-failure-exit-code | on-failure-signal)
        restarts=$((restarts + 1))
        echo "$restarts" >"$dir/restarts"
        put activating auto-restart "$result" 0
        pause=$(setting RestartSec)
        sleep "${pause:-0.1}"
        [ -e "$dir/stopping" ] && exit 0
        invocation
        ;;
      *-success) put inactive dead success 0 && exit 0 ;;
      *) put failed failed "$result" 0 && exit 0 ;;
    esac
  done
}

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# ---- jobs ----------------------------------------------------------------------------------

# held waits while the file is there, as long as the unit stays in the state.
held() { # file state
  while [ -e "$1" ]; do
    load
    [ "$ActiveState" = "$2" ] || return 1
    sleep 0.02
  done
}

start() {
  if ! exists; then
    say "Failed to start $unit: Unit $unit not found."
    return 5
  fi
  load
  while [ "$ActiveState" = deactivating ]; do sleep 0.02 && load; done
  case $ActiveState/$SubState in
    active/*) return 0 ;;
    activating/auto-restart) return 0 ;;
    activating/*)
      while [ "$ActiveState" = activating ]; do sleep 0.02 && load; done
      [ "$ActiveState" = active ] || return 1
      return 0
      ;;
  esac
  rm -f "$dir/stopping" "$dir/restarts"
  invocation
  put activating start success 0
  delay=$(setting StartDelay)
  if [ -n "$delay" ]; then sleep "$delay"; fi
  if ! held "$dir/hold-start" activating; then
    say "Job for $unit canceled."
    return 1
  fi
  if [ -e "$dir/fail-start" ]; then
    result=$(content "$dir/fail-start")
    put failed failed "${result:-exit-code}" 0
    case $result in
      timeout) say "Job for $unit failed because a timeout was exceeded." ;;
      protocol) say "Job for $unit failed because the service did not take the steps required by its unit configuration." ;;
      *) say "Job for $unit failed because the control process exited with error code." ;;
    esac
    say "See \"systemctl status $unit\" and \"journalctl -xeu $unit\" for details."
    return 1
  fi
  if [ -z "$(setting ExecStart)" ]; then
    put active running success 0
    return 0
  fi
  rm -f "$dir/runner" "$dir/main"
  setsid "$self" --watch "$unit" </dev/null >>"$dir/log" 2>&1 &
  until [ -e "$dir/main" ] && load && [ "$ActiveState/$SubState" != activating/start ]; do sleep 0.01; done
}

stop() {
  if ! exists; then
    say "Failed to stop $unit: Unit $unit not loaded."
    return 5
  fi
  load
  case $ActiveState in inactive | failed) return 0 ;; esac
  woken=$(setting TriggeredBy)
  if [ -n "$woken" ]; then
    say "Warning: Stopping $unit, but it can still be activated by:"
    say "  $woken"
  fi
  : >"$dir/stopping"
  put deactivating stop-sigterm success "$MainPID"
  delay=$(setting StopDelay)
  if [ -n "$delay" ]; then sleep "$delay"; fi
  held "$dir/hold-stop" deactivating || return 1
  result=success
  runner=$(content "$dir/runner")
  main=$(content "$dir/main")
  if alive "$runner"; then
    kill -TERM "-$main" 2>/dev/null || kill -TERM "$main" 2>/dev/null
    patience=$(setting TimeoutStopSec)
    patience=$(($(date +%s) + ${patience:-90}))
    while alive "$runner"; do
      if [ "$(date +%s)" -ge "$patience" ]; then
        result=timeout
        kill -KILL "-$main" 2>/dev/null
      fi
      sleep 0.02
    done
  fi
  rm -f "$dir/runner" "$dir/main" "$dir/stopping"
  again=$(content "$dir/come-back")
  if [ "${again:-0}" -gt 0 ]; then
    echo $((again - 1)) >"$dir/come-back"
    put inactive dead success 0
    start
    return
  fi
  if [ $result = success ]; then put inactive dead success 0; else put failed failed $result 0; fi
}

# job does a verb for one unit. A try to change something is what polkit refuses.
job() { # verb unit
  use "$2"
  if [ "$(content "$root/bus")" = denied ]; then
    say "Failed to $1 $unit: Access denied"
    say "See system logs and 'systemctl status $unit' for details."
    return 4
  fi
  case $1 in
    start) start ;;
    stop) stop ;;
    restart)
      if exists; then stop; fi
      start
      ;;
    reset-failed)
      load
      [ "$ActiveState" != failed ] || put inactive dead success 0
      ;;
  esac
}

# ---- questions -----------------------------------------------------------------------------

show() {
  load
  loaded=not-found
  if exists; then loaded=loaded; fi
  restarts=$(content "$dir/restarts")
  printf '%s\n' "Id=$unit" "LoadState=$loaded" "ActiveState=$ActiveState" "SubState=$SubState" \
    "Result=$Result" "MainPID=$MainPID" "NRestarts=${restarts:-0}" \
    "InvocationID=$(content "$dir/invocation")" "TriggeredBy=$(setting TriggeredBy)" |
    if [ -n "$properties" ]; then grep -E "^($(printf %s "$properties" | tr , '|'))="; else cat; fi
}

is_active() {
  load
  [ -n "$quiet" ] || echo "$ActiveState"
  case $ActiveState in active | reloading) return 0 ;; esac
  if exists; then return 3; else return 4; fi
}

status() {
  if ! exists; then
    say "Unit $unit could not be found."
    return 4
  fi
  load
  echo "● $unit - ${unit%.*}"
  echo "     Loaded: loaded ($dir/unit; disabled; preset: enabled)"
  echo "     Active: $ActiveState ($SubState) (Result: $Result)"
  echo "   Main PID: $MainPID"
  echo
  tail -n "$lines" "$dir/log" 2>/dev/null
  case $ActiveState in active | reloading) return 0 ;; esac
  return 3
}

# ---- the command line ----------------------------------------------------------------------

if [ "${1:-}" = --watch ]; then
  watch "$2"
  exit
fi

verb='' units='' properties='' quiet='' no_block='' lines=10
while [ $# -gt 0 ]; do
  case $1 in
    --) shift && break ;;
    -p | -n | --property | --lines)
      case $1 in *p*) properties=${properties:+$properties,}$2 ;; *) lines=$2 ;; esac
      shift
      ;;
    --property=*) properties=${properties:+$properties,}${1#*=} ;;
    --lines=*) lines=${1#*=} ;;
    -q | --quiet) quiet=1 ;;
    --no-block) no_block=--no-block ;;
    --user | --system | --no-pager | --no-ask-password | --full | -l) ;;
    -*)
      say "systemctl: unrecognized option '$1'"
      exit 1
      ;;
    *) if [ -z "$verb" ]; then verb=$1; else units="$units $1"; fi ;;
  esac
  shift
done
for name in "$@"; do units="$units $name"; done # names have no spaces

case $(content "$root/bus") in
  nosystemd)
    say "System has not been booted with systemd as init system (PID 1). Can't operate."
    say "Failed to connect to bus: Host is down"
    exit 1
    ;;
  nobus)
    say "Failed to connect to bus: No such file or directory"
    exit 1
    ;;
  chroot)
    say "Running in chroot, ignoring command '$verb'"
    exit 0
    ;;
esac

case $verb in start | stop | restart | reset-failed | show | is-active | status) ;; daemon-reload) exit 0 ;; *)
  say "Unknown command verb $verb."
  exit 1
  ;;
esac
if [ -z "$units" ]; then
  say "Too few arguments."
  exit 1
fi
if [ -n "$no_block" ]; then
  # shellcheck disable=SC2086 # names, one word each
  setsid "$self" "$verb" -- $units </dev/null >/dev/null 2>&1 &
  exit 0
fi

worst=0 best=9 first=1
for name in $units; do
  use "$name"
  code=0
  case $verb in
    show)
      [ -n "$first" ] || echo
      show
      ;;
    is-active) is_active || code=$? ;;
    status) status || code=$? ;;
    *) job "$verb" "$name" || code=$? ;;
  esac
  first=''
  if [ "$code" -gt "$worst" ]; then worst=$code; fi
  if [ "$code" -lt "$best" ]; then best=$code; fi
done
if [ "$verb" = is-active ]; then exit "$best"; fi
exit "$worst"
