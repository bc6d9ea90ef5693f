# --remove: the kit goes, the way in first; what was there before it comes back, what it did not make stays, and so does
# what is spent.

remove() {
    root_only
    read_account || uid=''
    sshd_changed=''
    take "$home/.ssh/authorized_keys"
    if [ -e "$sshd" ] && ours "$sshd"; then
        [ ! -d "$etc" ] || true >"$unread" || refuse "$etc cannot be written."
        take "$sshd"
        sshd_changed=1
    fi
    if [ -e "$sudoers" ] && ours "$sudoers"; then take "$sudoers"; fi
    for name in ca.pub principals restarts host; do take "$etc/$name"; done
    for path in "$etc/approvers"/* "$lib/gate" "$lib/door"; do take "$path"; done
    for path in "$home/.ssh" "$home" "$etc/approvers" "$lib"; do take_folder "$path"; done
    [ -z "$sshd_changed" ] && [ ! -e "$unread" ] || [ -e "$before/sshd" ] || reload
    give_back
    take_folder "$before"
    take_folder "$etc"
    if rmdir "$spool" 2>/dev/null; then
        done_ "took $spool away, which was empty"
        take "${spool%/*}/lock"
        take_folder "${spool%/*}"
    fi
    if [ -d "$spool" ]; then say "left $spool: what it holds can never run again, and would if it were gone"; fi
    if [ "$changes" = 0 ]; then say "there is nothing of the kit on $host."; fi
}

take() {
    [ -e "$1" ] || [ -L "$1" ] || return 0
    rm -f "$1" || refuse "$1 could not be taken away."
    done_ "took $1 away"
}

take_folder() {
    [ -d "$1" ] || return 0
    if rmdir "$1" 2>/dev/null; then done_ "took $1 away"; else say "left $1: it holds what the kit did not make"; fi
}

# The account and the files that were there before the kit; what it made itself goes.
give_back() {
    if [ -n "$uid" ] && [ -e "$before/account" ]; then
        IFS=: read -r old_home old_shell old_password <"$before/account"
        when_free usermod -d "$old_home" -s "$old_shell" -p "$old_password" "$account"
        rm -f "$before/account"
        done_ "gave the account $account its home $old_home back"
    elif [ -n "$uid" ] && [ "$old_home" = "$home" ]; then
        when_free userdel "$account"
        done_ "took the account $account away"
    fi
    if [ -e "$before/sshd" ]; then
        mv -f "$before/sshd" "$sshd" && reload
        done_ "put $sshd back as it was before the kit"
    fi
    if [ -e "$before/sudoers" ]; then
        mv -f "$before/sudoers" "$sudoers"
        done_ "put $sudoers back as it was before the kit: what it allows, Askfirst may do here again"
    fi
}
