# Looks at what a host trusts, and makes it what it is to be. Run by a POSIX `sh` as root; what is asked for is said by a
# function `input`, which is put before this, and nothing is begun of which not all is there. Whoever is killed in here
# leaves something that the next run sees and mends:
#
#   /run/provost-trust/           the lock, and what is being prepared; cleared by every run
#   /var/lib/provost-trust/       what outlives a run:
#     begun                       somebody is at work on files, or was killed at it
#     begun.KIND                  the trust store was begun with, and not seen to be right since
#     store.KIND                  what the trust store had when it was right: digests and names of our files
#     withdrawn.KIND/             our files that were taken away, until nothing is left of them in the store
#     place.KEY                   a file that we keep: its digest, its path and, of a keystore, the digest of the
#                                 certificates that are in it and what there was of its password. KEY is the SHA-256 of
#                                 the path
#     putting.KEY                 the same of a file that is about to be put there
#     owed.KEY                    its hook is to be run
set -u
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
# Nobody may listen any more: what was begun is done to its end all the same.
trap '' PIPE HUP
state=/var/lib/provost-trust
run=/run/provost-trust
work=$run/work

fail() {
    echo "$*" >&2
    exit 70
}
for program in awk cmp comm flock sha256sum stat xargs; do
    command -v "$program" >/dev/null 2>&1 || fail "there is no $program on the host"
done
mkdir -p "$run" || fail "there is no $run"
# Given back by the system when whoever has it is gone, with all that they started.
exec 9>"$run/lock" || fail "there is no lock"
tries=0
until flock -n 9; do
    tries=$((tries + 1))
    if [ "$tries" -gt 30 ]; then
        echo 'another delivery is at work' >&2
        exit 75
    fi
    sleep 1
done
rm -rf "$work"
mkdir "$work" && input >"$work/input" || fail 'the host has no room for what was sent'
if [ "$(tail -n 1 "$work/input")" != end ]; then
    echo 'what was sent did not arrive whole' >&2
    exit 74
fi
# What the shell reads; sets and certificates are many.
awk '$1 == "contents" || $1 == "certificates" { exit } $1 != "want"' "$work/input" >"$work/header"

# Has the system keep what it was given.
settle() {
    sync "$@" 2>/dev/null || sync
}

# The last words of the file $1.
words() {
    tail -c 4000 "$1" | tr -d '\000-\010\013-\037\177' | sed '/^[[:space:]]*$/d' | tail -n 1 | cut -c 1-300
}

digest() {
    if [ -L "$1" ] || [ -d "$1" ]; then
        echo odd
    elif [ -e "$1" ]; then
        sha256sum <"$1" | cut -d ' ' -f 1
    else
        echo none
    fi
}

key_of() {
    printf %s "$1" | sha256sum | cut -d ' ' -f 1
}

# Digests and names of our files in $1 that end in $2, in order of names, into $3.
list_own() {
    : >"$work/names"
    : >"$work/odd"
    for file in "$1"/provost-*."$2"; do
        name=${file##*/}
        print=${name#provost-}
        print=${print%."$2"}
        case $print in *[!0-9a-f]*) continue ;; esac
        [ ${#print} -eq 64 ] || continue
        if [ -L "$file" ] || [ -d "$file" ]; then
            echo "odd  $name" >>"$work/odd"
        elif [ -e "$file" ]; then
            echo "$name" >>"$work/names"
        fi
    done
    if [ -s "$work/names" ]; then
        (cd "$1" && xargs sha256sum <"$work/names") >>"$work/odd"
    fi
    sort -k 2 "$work/odd" >"$3"
}

# What every awk program in here begins with: calls seen() for each certificate in a file, by its base64.
bodies='
function each(file, mark,    line, body, inside) {
    while ((getline line <file) > 0) {
        if (line ~ /^-----BEGIN /) { body = ""; inside = 1 }
        else if (line ~ /^-----END /) { if (inside) seen(body, mark); inside = 0 }
        else if (inside) { gsub(/[ \t\r]/, "", line); body = body line }
    }
    close(file)
}'

# Which of the names in $1, files in the folder $2, have their certificate in the bundle $3 or, by its fingerprint, in the
# list $4.
found_of() {
    awk -v folder="$2" -v bundle="$3" -v keys="$4" "$bodies"'
    function seen(body, mark) {
        if (mark != "") wanted[body] = mark
        else if (body in wanted) found[wanted[body]] = 1
    }
    { name = $NF; prints[substr(name, 9, 64)] = name; each(folder "/" name, name) }
    END {
        if (bundle != "") each(bundle, "")
        if (keys != "") while ((getline key <keys) > 0) if (key in prints) found[prints[key]] = 1
        for (name in found) print name
    }' "$1" | sort
}

# The names in $1, files in the folder $2, whose certificate is in none of the files that $3 lists.
not_supplied() {
    awk -v folder="$2" -v others="$3" "$bodies"'
    function seen(body, mark) {
        if (mark != "") wanted[body] = mark
        else if (body in wanted) delete wanted[body]
    }
    { each(folder "/" $1, $1) }
    END {
        while ((getline file <others) > 0) each(file, "")
        for (body in wanted) print wanted[body]
    }' "$1" | sort
}

# The fingerprints in the keystore $1, into $2.
list_keys() {
    : >"$2"
    keytool -list -keystore "$1" -storepass changeit 2>/dev/null 9>&- </dev/null |
        awk '/SHA-256/ { key = tolower($NF); gsub(/:/, "", key); print key }' >"$2"
}

# What there is of a store.
look_at_store() {
    has_folder=0 has_program=0 has_java=0
    [ -d "$folder" ] && has_folder=1
    command -v "$program" >/dev/null 2>&1 && has_program=1
    [ -e "$keystore" ] && has_java=1
    echo "store $kind $has_folder $has_program $has_java"
    now=$work/now.$kind
    : >"$now"
    [ "$has_folder" = 1 ] && list_own "$folder" "$ending" "$now"
    awk -v kind="$kind" '{ print "own", kind, $2, $1 }' "$now"
    [ -e "$state/begun.$kind" ] && echo "begun $kind"
    if [ -e "$state/store.$kind" ]; then
        if cmp -s "$now" "$state/store.$kind"; then echo "kept $kind"; else echo "drift $kind"; fi
    fi
    # The folders of links that a folder of ours was, are no certificates.
    grep -v '^odd ' "$now" >"$work/regular"
    keys=
    if [ "$asks_java" = 1 ] && [ "$has_java" = 1 ] && command -v keytool >/dev/null 2>&1; then
        keys=$work/keys
        list_keys "$keystore" "$keys"
        found_of "$work/regular" "$folder" '' "$keys" | sed "s/^/key $kind /"
    fi
    found_of "$work/regular" "$folder" "$bundle" '' >"$work/taken.$kind"
    sed "s/^/taken $kind /" "$work/taken.$kind"
    : >"$work/left.$kind"
    if [ -d "$state/withdrawn.$kind" ]; then
        echo "behind $kind"
        ls "$state/withdrawn.$kind" >"$work/withdrawn"
        found_of "$work/withdrawn" "$state/withdrawn.$kind" "$bundle" "$keys" >"$work/found"
        if [ -s "$work/found" ]; then
            # Somebody else may have put the same there, and what was a copy of another file of ours is supplied by that.
            for other in $(echo "$others" | tr , ' '); do
                find -L "$other" -type f -name "$pattern" 2>/dev/null
            done | grep -v '/provost-[0-9a-f]\{64\}\.[a-z]*$' >"$work/others"
            awk -v folder="$folder" '{ print folder "/" $2 }' "$work/regular" >>"$work/others"
            not_supplied "$work/found" "$state/withdrawn.$kind" "$work/others" >"$work/left.$kind"
        fi
        sed "s/^/left $kind /" "$work/left.$kind"
    fi
}

# Puts the certificates in the list $1 of names into the folder, all of them or none.
put_certificates() {
    new=$folder/.provost-new
    rm -rf "$new"
    mkdir "$new" || return 1
    # Without their ending, by which they would be taken for what is trusted already.
    awk -v new="$new" -v ending="$ending" -v list="$1" '
    BEGIN { while ((getline name <list) > 0) { split(name, part, "."); wanted[part[1]] = 1 } }
    $1 == "certificates" { inside = 1; next }
    !inside { next }
    /^provost-/ { if (file != "") close(file); file = ($1 in wanted) ? new "/" $1 : ""; next }
    $1 == "end" { next }
    file != "" { print >file }' "$work/input" || return 1
    (cd "$new" && ls | xargs sha256sum) | sed "s/\$/.$ending/" | sort -k 2 >"$work/staged"
    cmp -s "$work/staged" "$work/more" || return 1
    chmod 644 "$new"/* || return 1
    settle "$new"/*
    while read -r name; do
        [ -d "$folder/$name" ] && [ ! -L "$folder/$name" ] && rmdir "$folder/$name"
        mv -f "$new/${name%".$ending"}" "$folder/$name" || return 1
    done <"$1"
    rm -rf "$new"
}

# Keeps the file $1 in the folder $2, unless it is not known yet whether nothing is left of what was withdrawn under its name
# before: what was put there since is somebody else's.
keep_withdrawn() {
    [ -e "$2/${1##*/}" ] && return
    cp "$1" "$2/.new" && mv -f "$2/.new" "$2/${1##*/}"
}

# Takes away the files in the list $1 of names, and remembers them until nothing is left of them.
take_certificates() {
    mkdir -p "$state/withdrawn.$kind" || return 1
    while read -r name; do
        if [ -L "$folder/$name" ]; then
            rm -f "$folder/$name" || return 1
        elif [ -d "$folder/$name" ]; then
            rmdir "$folder/$name" || return 1
        else
            keep_withdrawn "$folder/$name" "$state/withdrawn.$kind" && rm -f "$folder/$name" || return 1
        fi
    done <"$1"
    settle "$state/withdrawn.$kind"
}

# Waits until nobody else runs the program, and removes what one left that was killed: `update-ca-certificates` appends to
# it, and what was withdrawn since would come back.
clear_unfinished() {
    tries=0
    while grep -qszx '.*/update-ca-certificates' /proc/[0-9]*/cmdline; do
        tries=$((tries + 1))
        [ "$tries" -gt 60 ] && return 1
        sleep 1
    done
    rm -f "$unfinished"
}

# Makes the store have what is wanted, if it is to be used.
make_store() {
    grep -qx "use $kind" "$work/header" || return
    wanted=$work/wanted.$kind
    awk -v kind="$kind" '$1 == "contents" { exit } $1 == "use" { is = $2 == kind }
        is && $1 == "want" { print $3 "  " $2 }' "$work/input" >"$wanted"
    was_begun=0
    [ -e "$state/begun.$kind" ] && was_begun=1
    : >"$state/begun.$kind"
    settle "$state"
    # The system's own folder is for all to read.
    [ -d "$folder" ] || (umask 022 && mkdir -p "$folder") || { tell "cannot $kind" "there is no $folder"; return; }
    list_own "$folder" "$ending" "$work/now"
    sort "$wanted" >"$work/a"
    sort "$work/now" >"$work/b"
    comm -23 "$work/a" "$work/b" | sort -k 2 >"$work/more"
    awk '{ print $2 }' "$work/more" >"$work/put"
    awk '{ print $2 }' "$wanted" | sort >"$work/a"
    awk '{ print $2 }' "$work/now" | sort >"$work/b"
    comm -13 "$work/a" "$work/b" >"$work/less"
    # What came back is not withdrawn any more.
    [ -d "$state/withdrawn.$kind" ] && (cd "$state/withdrawn.$kind" && xargs rm -f <"$work/a")
    if [ -s "$work/put" ] && ! put_certificates "$work/put"; then
        rm -rf "$folder/.provost-new"
        tell "cannot $kind" "the certificates could not be written into $folder"
        return
    fi
    if [ -s "$work/less" ] && ! take_certificates "$work/less"; then
        tell "cannot $kind" "the certificates could not be taken out of $folder"
        return
    fi
    # What a run left that was killed.
    rm -rf "$folder/.provost-new"
    if [ "$unfinished" != - ] && ! clear_unfinished; then
        tell "cannot $kind" "somebody else is running $program"
        return
    fi
    # Links are made anew, unless there is only something more.
    if [ "$fresh" = - ] || { [ "$was_begun" = 0 ] && [ ! -s "$work/less" ] && [ -s "$work/put" ]; }; then fresh=; fi
    [ "$arguments" = - ] && arguments=
    # The lock is theirs, too: nobody begins before they have ended, whatever becomes of us.
    "$program" $arguments $fresh >"$work/said" 2>&1 </dev/null
    status=$?
    if [ "$status" -ne 0 ]; then
        tell "program $kind $status" "$(words "$work/said")"
        return
    fi
    # Java's keystore is not told of what went away, if all links are made anew.
    if [ -x "$hook" ] && [ -d "$state/withdrawn.$kind" ] && [ -n "$(ls "$state/withdrawn.$kind")" ]; then
        ls "$state/withdrawn.$kind" | sed "s|^|-${bundle%/*}/|; s/\\.$ending\$/.pem/" >"$work/gone"
        "$hook" <"$work/gone" >"$work/said" 2>&1 ||
            tell "program $kind $?" "$(words "$work/said")"
    fi
}

tell() {
    echo "$1 $2" >>"$work/told"
}

# Runs a program for so many seconds at most, if the host can see to that.
bounded() {
    if command -v timeout >/dev/null 2>&1; then
        timeout -s KILL "$@"
    else
        shift
        "$@"
    fi
}

# What there is of the file with the password of a keystore: when it is another one, so is the keystore.
stamp() {
    if [ -z "$password" ]; then
        echo -
    else
        stat -L -c '%i-%s-%Z' "$password" 2>/dev/null || echo none
    fi
}

# What was about to be put there when a run was killed is ours, if it got there. Otherwise what is there is what was there
# before: ours as it was, or somebody else's.
settle_places() {
    for file in "$state"/putting.*; do
        [ -e "$file" ] || continue
        path=$(sed -n 2p "$file")
        if [ "$(digest "$path")" = "$(head -n 1 "$file")" ]; then
            mv -f "$file" "$state/place.${file##*/putting.}"
        else
            # Nobody may ever be told of this file again.
            rm -f "${path%/*}/.${path##*/}.provost-new" && rm -f "$file"
        fi
    done
}

# What there is of a file.
look_at_place() {
    was=none owed=0
    [ -e "$state/place.$key" ] && was=$(head -n 1 "$state/place.$key")
    [ -e "$state/owed.$key" ] && owed=1
    is=$(digest "$path")
    attributes='- - - - -'
    [ "$is" != none ] && attributes=$(stat -c '%U %G %u %g %a' "$path")
    made=-
    if [ "$is_keystore" = 1 ]; then
        made=none
        if [ -e "$state/place.$key" ] && [ "$(sed -n 4p "$state/place.$key")" = "$(stamp)" ]; then
            made=$(sed -n 3p "$state/place.$key")
        fi
    fi
    echo "place $index $is $attributes $owed $was ${made:-none}"
}

# Prepares what is to be in a file: the certificates, and their names in the same order.
prepare_content() {
    : >"$work/members"
    awk -v content="$content" -v members="$work/members" '
    $1 == "contents" { listed = 1; next }
    $1 == "certificates" { inside = 1; next }
    !inside {
        if (listed && $1 == "content") is = $2 == content
        else if (listed && is && $1 == "member") member[$2] = 1
        next
    }
    $1 == "end" { next }
    /^provost-/ { out = $1 in member; if (out) print $1 >members; next }
    out { print }' "$work/input" >"$work/bundle" || return 1
    sum=$(digest "$work/bundle") made=- stamped=-
}

# Prepares a keystore of the certificates instead of them. `keytool` takes certificates one by one, and thousands would take
# an hour. It takes in all of a keystore, and there is nothing in one of the old format that a shell could not write:
# numbers of 4 bytes but for the lengths of texts, which have 2, and times, which have 8; and a SHA-1 of it all behind the
# password in UTF-16 and a lady's name (OpenJDK, sun.security.provider.JavaKeyStore).
prepare_keystore() {
    : >"$work/said"
    # The one that is there may be good still. Where it is not read as it was left, it is made anew.
    if [ "$is" = "$(head -n 1 "$state/place.$key" 2>/dev/null)" ] &&
        [ "$sum" = "$(sed -n 3p "$state/place.$key")" ] && [ "$(stamp)" = "$(sed -n 4p "$state/place.$key")" ] &&
        cat "$path" >"$work/keystore" && [ "$(digest "$work/keystore")" = "$is" ]; then
        made=$sum stamped=$(stamp) sum=$is
        mv -f "$work/keystore" "$work/bundle"
        return
    fi
    made=$sum stamped=$(stamp)
    if ! command -v keytool >/dev/null 2>&1; then
        echo 'there is no keytool: it comes with Java' >"$work/said"
        return 1
    fi
    printf changeit >"$work/changeit"
    secret=${password:-$work/changeit}
    if [ ! -r "$secret" ] || [ ! -f "$secret" ]; then
        echo "there is no password in $secret" >"$work/said"
        return 1
    fi
    awk -v members="$work/members" "$bodies"'
    function bytes(number, count,    said) {
        for (; count > 0; count--) { said = sprintf("\\%03o", number % 256) said; number = int(number / 256) }
        return said
    }
    function text(of) { return bytes(length(of), 2) of }
    function seen(body, mark,    name) {
        getline name <members
        count++
        entries[count] = bytes(2, 4) text(name) bytes(0, 8) text("X.509") \
            bytes(length(body) / 4 * 3 - (body ~ /=$/) - (body ~ /==$/), 4) " " body
    }
    BEGIN {
        each(ARGV[1], "")
        print "\\376\\355\\376\\355" bytes(2, 4) bytes(count, 4)
        for (entry = 1; entry <= count; entry++) print entries[entry]
    }' "$work/bundle" >"$work/entries" || return 1
    while read -r head body; do
        printf "$head"
        [ -z "$body" ] || printf %s "$body" | base64 -d
    done <"$work/entries" >"$work/jks"
    sealed=$({ printf '\000c\000h\000a\000n\000g\000e\000i\000tMighty Aphrodite' && cat "$work/jks"; } | sha1sum |
        awk '{ for (at = 1; at < 40; at += 2) printf "\\%03o", 16 * value(at) + value(at + 1) }
            function value(at) { return index("0123456789abcdef", substr($1, at, 1)) - 1 }')
    printf "$sealed" >>"$work/jks"
    rm -f "$work/keystore"
    bounded 120 keytool -importkeystore -noprompt -srckeystore "$work/jks" -srcstoretype JKS \
        -srcstorepass:file "$work/changeit" -destkeystore "$work/keystore" -deststoretype PKCS12 \
        -deststorepass:file "$secret" >"$work/said" 2>&1 </dev/null || return 1
    # What it says of what it made is what others will see.
    bounded 120 keytool -list -rfc -keystore "$work/keystore" -storetype PKCS12 -storepass:file "$secret" \
        >"$work/listed" 2>"$work/said" </dev/null || return 1
    for file in bundle listed; do
        awk "$bodies"'function seen(body, mark) { print body } BEGIN { each(ARGV[1], "") }' "$work/$file" |
            sort >"$work/$file.bodies"
    done
    if ! cmp -s "$work/bundle.bodies" "$work/listed.bodies"; then
        echo 'keytool made a keystore that has other certificates' >"$work/said"
        return 1
    fi
    mv -f "$work/keystore" "$work/bundle"
    sum=$(digest "$work/bundle")
}

# Owes the hook, before what it is about becomes another one.
owe() {
    was_owed=$([ -e "$state/owed.$key" ] && echo 1 || :)
    if [ -n "$on_change" ]; then : >"$state/owed.$key"; fi
}

# What it was to be told of has not come about.
owe_nothing_new() {
    [ "$(digest "$path")" != "$is" ] || [ -n "$was_owed" ] || rm -f "$state/owed.$key"
}

# Writes the certificates to $path, beside it first.
put_place() {
    prepare_content || { tell "cannot $index" 'the host has no room for what was sent'; return; }
    place_folder=${path%/*}
    beside=$place_folder/.${path##*/}.provost-new
    is=$(digest "$path")
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        tell "cannot $index" "it is a folder"
        return
    fi
    # Who has the very same there has it from us, for all that matters; anything else is theirs.
    if [ ! -e "$state/place.$key" ] && [ "$is" != none ] && [ "$is" != "$sum" ] && [ "$adopts" = 0 ]; then
        tell theirs "$index"
        return
    fi
    if [ "$is_keystore" = 1 ] && ! prepare_keystore; then
        # Of a program in Java, what it says before it says where it was.
        sed '/^[[:space:]]*\(at\|\.\.\.\) /d' "$work/said" >"$work/why"
        tell "keystore $index" "$(words "$work/why")"
        return
    fi
    if [ "$is" != "$sum" ]; then owe; fi
    # On record before it is there, so that it is known whose it is, whoever is killed in between.
    printf '%s\n' "$sum" "$path" "$made" "$stamped" >"$work/place"
    cp "$work/place" "$state/putting.$key" || { tell "cannot $index" "there is no room in $state"; return; }
    settle "$state/putting.$key" "$state"
    [ -d "$place_folder" ] || (umask 022 && mkdir -p "$place_folder") 2>"$work/said" || {
        tell "cannot $index" "$(words "$work/said")"
        owe_nothing_new
        return
    }
    (
        rm -f "$beside"
        # Nobody who may write into the folder can choose what is overwritten, or see more than they may.
        set -C
        umask "$(printf '%04o' $((0777 & ~0$mode)))"
        cat "$work/bundle" >"$beside" &&
            chown -h "$owner:$group" "$beside" &&
            { [ "$(stat -c %a "$beside")" -eq "$mode" ] || chmod "$mode" "$beside"; } &&
            settle "$beside" &&
            mv -f "$beside" "$path" && settle "$place_folder"
    ) 2>"$work/said" || {
        rm -f "$beside"
        tell "cannot $index" "$(words "$work/said")"
        owe_nothing_new
        return
    }
    mv -f "$state/putting.$key" "$state/place.$key"
}

# Removes the file at $path. A folder that somebody has there instead is theirs, and ours is gone.
remove_kept() {
    if [ -d "$path" ] && [ ! -L "$path" ]; then return 0; fi
    rm -f "$path" "${path%/*}/.${path##*/}.provost-new" 2>"$work/said"
}

# Removes the file, if it is one that we kept.
drop_place() {
    [ -e "$state/place.$key" ] || return
    is=$(digest "$path")
    owe
    settle "$state"
    if remove_kept; then
        rm -f "$state/place.$key"
    else
        tell "cannot $index" "$(words "$work/said")"
        owe_nothing_new
    fi
}

# Runs the hook, if it is owed.
call_hook() {
    [ -e "$state/owed.$key" ] || return
    if [ -n "$on_change" ]; then
        (cd / && umask 022 && bounded "$seconds" sh -c "$on_change") >"$work/said" 2>&1 </dev/null 9>&-
        status=$?
        if [ "$status" -ne 0 ]; then
            tell "hook $index $status" "$(words "$work/said")"
            return
        fi
    fi
    rm -f "$state/owed.$key"
}

# Calls $1 for each place that is listed.
for_places() {
    index=0
    : >"$work/keys-of-places"
    while IFS= read -r line; do
        value=${line#* }
        case $line in
        'path '*) path=$value on_change= adopts=0 is_keystore=0 password= ;;
        'owner '*) owner=$value ;;
        'group '*) group=$value ;;
        'mode '*) mode=$value ;;
        'hook '*) on_change=$value ;;
        adopt) adopts=1 ;;
        keystore) is_keystore=1 ;;
        'password '*) password=$value ;;
        'content '*) content=$value ;;
        put | drop)
            key=$(key_of "$path")
            echo "$key" >>"$work/keys-of-places"
            do=$line
            "$1"
            index=$((index + 1))
            ;;
        esac
    done <"$work/header"
}

make_place() {
    if [ "$do" = put ]; then put_place; else drop_place; fi
}

# Calls $1 for each file that we kept and that is not listed any more.
for_strays() {
    for file in "$state"/place.*; do
        [ -e "$file" ] || continue
        key=${file##*/place.}
        grep -qx "$key" "$work/keys-of-places" && continue
        path=$(sed -n 2p "$file")
        "$1"
    done
}

look_at_stray() {
    echo "stray $path"
}

make_stray() {
    # What could not be removed is not forgotten: the next run is told to try again, and whoever asked, that it is there.
    if remove_kept; then
        rm -f "$state/place.$key" "$state/owed.$key"
    else
        tell 'cannot stray' "$(words "$work/said")"
    fi
}

# Calls $1 for each store that is known.
for_stores() {
    while read -r word kind folder ending bundle unfinished keystore hook others pattern program arguments fresh; do
        [ "$word" = store ] && "$1"
    done <"$work/header"
}

look() {
    (
        for file in /etc/os-release /usr/lib/os-release; do
            if [ -r "$file" ]; then
                . "$file"
                break
            fi
        done
        echo "system ${ID-} ${ID_LIKE-}"
    )
    asks_java=0
    grep -qx java "$work/header" && asks_java=1
    if command -v keytool >/dev/null 2>&1; then echo keytool; fi
    for_stores look_at_store
    for_places look_at_place
    for_strays look_at_stray
    [ -e "$state/begun" ] && echo begun
    [ -e "$work/told" ] && cat "$work/told"
    return 0
}

# Remembers of the stores what is right, and forgets that they were begun with; those that were let alone are as they are
# to be. Files have their own memory, and what was to be done with them came to its end.
remember() {
    for mark in "$state"/begun.*; do
        [ -e "$mark" ] || continue
        kind=${mark##*/begun.}
        wanted=$work/wanted.$kind
        if [ -e "$wanted" ]; then
            # Whatever it looks like: what failed may have been about to do more.
            [ -e "$work/told" ] && grep -q "^[a-z]* $kind " "$work/told" && continue
            awk '{ print $2 }' "$wanted" >"$work/a"
            if [ -s "$work/left.$kind" ] || ! cmp -s "$wanted" "$work/now.$kind" || ! cmp -s "$work/a" "$work/taken.$kind"; then
                continue
            fi
            if [ -s "$wanted" ]; then
                cp "$wanted" "$work/store" && mv -f "$work/store" "$state/store.$kind"
            else
                rm -f "$state/store.$kind"
            fi
            rm -rf "$state/withdrawn.$kind"
        fi
        rm -f "$mark"
    done
    rm -f "$state/begun"
}

settle_places
if [ "$(head -n 1 "$work/header")" = make ]; then
    mkdir -p "$state" || fail "there is no $state"
    : >"$state/begun"
    settle "$state"
    seconds=$(awk '$1 == "seconds" { print $2 }' "$work/header")
    for_stores make_store
    for_places make_place
    for_strays make_stray
    for_places call_hook
    look >"$work/report"
    remember
    sed '/^begun/d; /^behind /d; /^drift /d' "$work/report" >"$work/final"
    for mark in "$state"/begun.*; do
        [ -e "$mark" ] && echo "begun ${mark##*/begun.}" >>"$work/final"
    done
    if [ -z "$(ls "$state")" ]; then rmdir "$state"; fi
else
    look >"$work/final"
fi
echo provost-trust-begins
cat "$work/final"
echo provost-trust-ends
rm -rf "$work"
