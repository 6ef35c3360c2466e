# The first process of a host: makes its file tree, starts sshd, and ends when it is told to (`reboot`).
# Runs in namespaces of its own for mounts, names and processes, in the machine's root; $1 is the host's folder.
set -eu
host=$1
root=$host/root
trap 'exit 0' TERM
mount --make-rprivate /
hostname "$(cat "$host/name")"
mount --rbind /usr "$root/usr"
# What runs in here must not change the machine.
mount -o remount,bind,ro "$root/usr"
# What the machine's programs need of its /etc, in many small files.
for name in alternatives ssl; do
    if [ "$name" = ssl ] && [ -e "$host/own-trust" ]; then continue; fi
    if [ -d "/etc/$name" ]; then
        mount --bind "/etc/$name" "$root/etc/$name"
        mount -o remount,bind,ro "$root/etc/$name"
    fi
done
mount --bind "$host/local" "$root/usr/local"
for name in systemctl reboot shutdown poweroff; do
    for folder in bin sbin; do
        if [ -e "$root/usr/$folder/$name" ]; then
            mount --bind "$host/local/bin/recorder" "$(readlink -f "$root/usr/$folder/$name")" || true
        fi
    done
done
mount -t proc proc "$root/proc"
mount --bind "$host/boot_id" "$root/proc/sys/kernel/random/boot_id"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755,size=16m tmpfs "$root/run"
mkdir -p "$root/run/sshd" "$root/run/sudo"
chmod 711 "$root/run/sudo"
if [ -e "$host/atomic" ]; then : >"$root/run/ostree-booted"; fi
while read -r size path; do
    mount -t tmpfs -o mode=755,size="$size" tmpfs "$root$path"
done <"$host/disks"
chroot "$root" /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config </dev/null 2>>"$host/sshd.log" >&2 &
# A signal ends this `wait`, and with this process all others of the host.
wait "$!" || true
# Without sshd the host still runs, as others do.
while :; do sleep 1000 & wait "$!" || true; done
