# A host's power supply: starts it, and starts it again when it went down. $1 is its folder, $2 its network namespace.
host=$1
space=$2
while [ -d "$host" ] && [ ! -e "$host/off" ]; do
    # One that is not the machine's own: a host has booted when it differs.
    cat /proc/sys/kernel/random/uuid >"$host/boot_id"
    echo boot >>"$host/boots"
    ip -n "$space" link set eth0 up
    ip -n "$space" route replace default via "$(cat "$host/gateway")"
    ip netns exec "$space" unshare --mount --uts --pid --fork --kill-child sh "$host/init.sh" "$host" </dev/null &
    echo "$!" >"$host/power.pid"
    wait "$!"
    [ -e "$host/off" ] && exit 0
    ip -n "$space" link set eth0 down
    sleep "$(cat "$host/down")"
    while [ -e "$host/stays-down" ]; do sleep 0.1; done
done
