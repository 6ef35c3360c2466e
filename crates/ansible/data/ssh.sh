# Runs ssh for Ansible, which keeps all that a host says in memory: of one that never stops talking no more is heard than
# said_mib_max, which stands in front of this, in MiB.
#
# Exits as ssh does, or with 255, as ssh does where it could not do its work: Ansible tells the last words then. Standard
# error goes past this: a connection that is shared outlives it, and keeps that open.
exec 3>&1
status=$({
    {
        ssh "$@" 4>&-
        echo "$?" >&4
    } 3>&- | {
        head -c "$((said_mib_max * 1048576))" >&3
        if [ "$(head -c 1 | wc -c)" -gt 0 ]; then
            echo "it said more than $said_mib_max MiB, and was not listened to any more" >&2
            echo over >&4
        fi
    }
} 4>&1)
case $status in *over*) exit 255 ;; esac
exit "${status:-255}"
