exec 4>&1 5>&2
status=$({ { { if command -v timeout >/dev/null 2>&1; then timeout -s KILL "$1" sh -c "$3"; else sh -c "$3"; fi 3>&- 4>&- 5>&- 6>&-; echo $? >&3; } 2>&1 1>&6 | tail -c "$2" >&5; } 6>&1 | tail -c "$2" >&4; } 3>&1)
exit "$status"
