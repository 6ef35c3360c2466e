# Has a host do something once, however often it is asked to, and tells how that ended. POSIX sh, as root.
#
# In front of this stand: name, of this errand alone; boot_id, of the boot that it is for, empty for any; restarted, what
# to say when that boot is over, empty where it is meant to be; busy, what to say of another errand that is not over;
# limit, in seconds; command. It is done apart from whoever asks: a connection that breaks does not end it, and who asks again
# waits for the same. What is known of it lives in /run, and so as long as the boot does.

if [ -n "$boot_id" ] && [ "$(cat /proc/sys/kernel/random/boot_id)" != "$boot_id" ]; then
    # It has restarted since. Once is enough.
    if [ -z "$restarted" ]; then exit 0; fi
    echo "$restarted" >&2
    exit 1
fi
errands=/run/provost
errand=$errands/$name
mkdir -p "$errands" && chmod 700 "$errands" || exit 1

# Whether the errand $1 is being done. Its process is told by its arguments: the number may be another's by now.
is_at_work() {
    pid=$(cat "$1/pid" 2>/dev/null)
    [ -n "$pid" ] && cat "/proc/$pid/cmdline" 2>/dev/null | tr '\000' '\n' | grep -qxF "$1"
}

if [ ! -d "$errand" ]; then
    # Nobody waits here: whoever still wants it asks again.
    for other in "$errands"/*/pid; do
        other=${other%/pid}
        if [ ! -e "$other/ended" ] && is_at_work "$other"; then
            echo "$busy" >&2
            exit 75
        fi
    done
fi

# $1 is the errand, $2 the limit, $3 the command. Whoever makes `begun` does it, and nobody after them.
do_it='mkdir "$1/begun" 2>/dev/null || exit 0
echo "$$" >"$1/pid"
{
    if command -v timeout >/dev/null 2>&1; then timeout -s KILL "$2" sh -c "$3"; else sh -c "$3"; fi
    echo "$?" >"$1/status"
    mv "$1/status" "$1/ended"
} 2>&1 | tail -c 4096 >"$1/said"'

# $1 is all of that. systemd may end what a user has begun when they sign out (logind.conf: KillUserProcesses), unless it is
# in a scope of its own; where none can be had it is done without.
begin='if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
    systemd-run --scope -- sh -c "$1" sh "$2" "$3" "$4"
fi
sh -c "$1" sh "$2" "$3" "$4"'

if mkdir "$errand" 2>/dev/null; then
    # What an earlier restart has left.
    rm -f "$errands/not-restarted"
    for old in "$errands"/*/ended; do
        if [ -e "$old" ]; then rm -rf "${old%/ended}"; fi
    done
    # In a session of its own, so that nothing that ends ours ends it.
    apart=nohup
    if command -v setsid >/dev/null 2>&1; then apart=setsid; fi
    "$apart" sh -c "$begin" sh "$do_it" "$errand" "$limit" "$command" </dev/null >/dev/null 2>&1 &
elif [ ! -d "$errand" ]; then
    echo "$errand cannot be made" >&2
    exit 1
fi

looks=0
while [ ! -e "$errand/ended" ]; do
    looks=$((looks + 1))
    if [ -s "$errand/pid" ] || [ "$looks" -gt 50 ]; then
        # What has not begun by now must not begin any more.
        if ! is_at_work "$errand" && [ ! -e "$errand/ended" ] &&
            { [ -s "$errand/pid" ] || [ "$looks" -gt 60 ] || mkdir "$errand/begun" 2>/dev/null; }; then
            echo "it was killed before its end" >&2
            exit 137
        fi
    fi
    # Most are short. Not every `sleep` knows fractions.
    pause=0.1
    if [ "$looks" -le 5 ]; then pause=0.02; fi
    if [ "$looks" -gt 35 ] || ! sleep "$pause" 2>/dev/null; then sleep 1; fi
done
status=$(cat "$errand/ended")
case $status in
'' | *[!0-9]*)
    echo "how it ended could not be written down there; see whether the file system of $errands is full" >&2
    exit 74
    ;;
esac
if [ "$status" != 0 ]; then
    if [ ! -s "$errand/said" ]; then sleep 1; fi
    cat "$errand/said" >&2
fi
exit "$status"
