# What this host is. POSIX sh; needs neither root nor anything but the tools of every Linux.
# Prints `name=value` lines between two marks: whatever a login prints before them is not ours.
LC_ALL=C
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
export LC_ALL PATH
say() { printf '%s=%s\n' "$1" "$2"; }

echo provost-probe-begins

# os-release(5) is made to be read by a shell; in a subshell, so that it changes nothing here.
for file in /etc/os-release /usr/lib/os-release; do
    if [ -r "$file" ]; then
        (
            ID= VERSION_ID=
            . "$file"
            say os "$ID"
            say version "$VERSION_ID"
        )
        found=yes
        break
    fi
done
if [ -z "$found" ]; then
    release=
    [ -r /etc/redhat-release ] && read -r release < /etc/redhat-release
    case $release in
        CentOS*) say os centos ;;
        Fedora*) say os fedora ;;
        'Red Hat'*) say os redhat ;;
        *) say os '' ;;
    esac
    rest=${release##*release }
    say version "${rest%% *}"
fi

# OSTree's own mark (ostree(1)): the operating system is deployed as a whole, not by packages.
if [ -e /run/ostree-booted ]; then say atomic yes; else say atomic no; fi

say cpus "$(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc 2>/dev/null || grep -c '^processor' /proc/cpuinfo)"

while read -r name value unit; do
    if [ "$name" = MemTotal: ]; then say memory_kib "$value"; fi
done < /proc/meminfo

# Each block device once, however often it is mounted, and the root whatever it lies on. Asked one by one, so
# that a share that hangs is not asked at all.
seen=' '
total=0
add() {
    blocks=$(df -Pk "$1" 2>/dev/null | while read -r device size rest; do
        case $size in *[!0-9]* | '') ;; *) echo "$size" ;; esac
    done)
    case $blocks in *[!0-9]* | '') ;; *) total=$((total + blocks)) ;; esac
}
while read -r device place type rest; do
    case $type in squashfs | iso9660 | udf) continue ;; esac
    case $device in
        /dev/*) ;;
        *) [ "$place" = / ] || continue ;;
    esac
    case $seen in *" $device "*) continue ;; esac
    seen="$seen$device "
    add "$(printf '%b' "$place")"
done < /proc/self/mounts
say space_kib "$total"

read -r boot < /proc/sys/kernel/random/boot_id
say boot_id "$boot"
say kernel "$(uname -r)"
say architecture "$(uname -m)"

echo provost-probe-ends
