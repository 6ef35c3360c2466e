# Takes a step, unless it is done already. POSIX sh, as root. In front of this stand: check, which succeeds when it is
# done, empty where nothing tells; command; limit, in seconds, empty where whoever asks sees to that on the host; wait, in
# seconds, less than whoever asks waits.
#
# Whoever took it before may have died and left it running here: that is waited for, and then looked at; not for longer
# than somebody is there to hear of it. Only this shell has the lock, and nothing that a step begins and leaves behind; a
# check that hangs does not keep it.
take='timeout=
if command -v timeout >/dev/null 2>&1; then timeout=is-there; fi
if [ -n "$1" ] && { ${timeout:+timeout -s KILL 60} sh -c "$1"; } >/dev/null 2>&1; then exit 0; fi
if [ -z "$3" ]; then timeout=; fi
exec ${timeout:+timeout -s KILL "$3"} sh -c "$2"'
lock=/run/provost/step.lock
# Not every `flock` knows `-w`; without it, it is done without.
if { mkdir -p /run/provost && chmod 700 /run/provost && true >>"$lock" && flock -s -w 1 /dev/null true; } 2>/dev/null; then
    exec 9>>"$lock"
    flock -w "${wait:-60}" 9 || { echo "an earlier step is still at work there" >&2; exit 75; }
    sh -c "$take" sh "$check" "$command" "$limit" 9>&-
    exit
fi
exec sh -c "$take" sh "$check" "$command" "$limit"
