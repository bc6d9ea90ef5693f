# What a sealed host asks of a restart besides: signatures over exactly this warrant, by keys of people whom its own files
# name. /etc/askfirst/approvers/SERVICE is an allowed-signers file of OpenSSH's with lines
#
#     MAIL[,MAIL…] namespaces="askfirst-warrant" KEYTYPE KEY
#
# where all addresses of one human stand on one line: lines that share an address are the same human. Of each signature
# signature.awk reads the kind of key and the byte by which a key says that somebody touched it and that it knew who;
# the host's own ssh-keygen checks the rest. Whoever asked for the restart counts for nothing, whoever signs twice counts
# once, and one signature that does not hold refuses the whole.

af_signed() {
    AF_WHY='signatures came, and this host is not sealed'
    [ "$AF_LEVEL" = sealed ] || { [ -z "$AF_SIGNATURES" ]; return; }
    af_signers=$AF_ETC/approvers/$AF_SERVICE
    af_value requester
    AF_STATUS=78
    af_is_own "$af_signers" || return 1
    AF_WHY="the table asks for no approval of $AF_SERVICE, and this host is sealed"
    [ "$AF_APPROVALS" -ge 1 ] || return 1
    af_signed_by=''
    af_approvers || return 1
    AF_STATUS=77
    AF_WHY='this host is sealed, and no signature came with the warrant'
    [ -n "$AF_SIGNATURES" ] || return 1
    # shellcheck disable=SC2086  # one word for each line
    { IFS=$AF_NEWLINE; set -- $AF_SIGNATURES; unset IFS; }
    AF_WHY='more signatures came than anybody can need'
    [ $# -le 20 ] || return 1
    for af_signature; do
        af_verify "${af_signature#signature }" || { AF_WHY="a signature does not count: $AF_WHY"; return 1; }
    done
    af_approvers "$AF_APPROVALS"
}

# Whether the file of approvers is of its form, and, with a number, whether so many humans are among those that signed.
af_approvers() {
    AF_WHY=$(NEEDED=${1-} SIGNED_BY=$af_signed_by REQUESTER=$AF_VALUE awk "$AF_APPROVERS" "$af_signers")
    [ "$AF_WHY" = good ]
}

af_verify() {
    AF_WHY='it is no base64 of one line'
    af_body=${1%=} af_body=${af_body%=}
    case $af_body in *[!A-Za-z0-9+/]* | '') return 1 ;; esac
    [ $((${#1} % 4)) = 0 ] && [ ${#1} -le 12000 ] || return 1
    AF_WHY=$(printf '%s\n' "$1" | base64 -d 2>/dev/null | od -An -v -tx1 | PLAIN=$AF_PLAIN awk "$AF_SIGNATURE")
    [ "$AF_WHY" = good ] || { AF_WHY=${AF_WHY:-it cannot be read}; return 1; }
    af_armored="-----BEGIN SSH SIGNATURE-----
$1
-----END SSH SIGNATURE-----"
    AF_WHY="it is by none of this host's approvers of $AF_SERVICE"
    af_who=$(ssh-keygen -Y find-principals -s /dev/fd/3 -f "$af_signers" 2>/dev/null 3<<EOT
$af_armored
EOT
    ) || return 1
    af_who=${af_who%%"$AF_NEWLINE"*}
    [ -n "$af_who" ] || return 1
    af_said=$(printf '%s\n' "$AF_DATA" | {
        ssh-keygen -Y verify -f "$af_signers" -I "$af_who" -n askfirst-warrant -s /dev/fd/3 2>&1 3<<EOT
$af_armored
EOT
    }) || { AF_WHY="this host's ssh-keygen says of $af_who: ${af_said%%"$AF_NEWLINE"*}"; return 1; }
    af_signed_by="$af_signed_by$af_who$AF_NEWLINE"
}
