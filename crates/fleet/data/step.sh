# Takes a step, unless it is done already. POSIX sh, as root. In front of this stand: check, which succeeds when it is
# done, empty where nothing tells; command; limit, in seconds, empty where whoever asks sees to that on the host.
#
# Whoever took it before may have died and left it running here: that is waited for, and then looked at. Only this `flock`
# has the lock, and nothing that a step begins and leaves behind.
take='if [ -n "$1" ] && sh -c "$1" >/dev/null 2>&1; then exit 0; fi
if [ -n "$3" ] && command -v timeout >/dev/null 2>&1; then exec timeout -s KILL "$3" sh -c "$2"; fi
exec sh -c "$2"'
lock=/run/provost/step.lock
# Not every `flock` knows `-o`; without it, it is done without.
if { mkdir -p /run/provost && chmod 700 /run/provost && : >>"$lock" && flock -s -n -o /dev/null true; } 2>/dev/null; then
    exec flock -o "$lock" sh -c "$take" sh "$check" "$command" "$limit"
fi
exec sh -c "$take" sh "$check" "$command" "$limit"
