# Reads a file of approvers and says `good`, else what is wrong with it. With NEEDED, says besides whether so many humans
# signed: SIGNED_BY holds an address a line, of whoever signed; REQUESTER is the warrant's, and counts for nothing.

/^[ \t]*(#|$)/ { next }

{
    # No pattern, no option but the namespace: either could let in whom nobody named.
    if (NF != 4 || $2 != "namespaces=\"askfirst-warrant\"" || $1 ~ /[*?!"\\]|^,|,,|,$/) bad = FNR
    if (($3, $4) in keys) bad = FNR
    keys[$3, $4] = 1
    count = split(tolower($1), mails, ",")
    for (i = 1; i <= count; i++) {
        if (mails[i] in human) same(human[mails[i]], FNR)
        human[mails[i]] = FNR
    }
}

function same(old, new,    mail) { for (mail in human) if (human[mail] == old) human[mail] = new }

END {
    if (bad) { print "line " bad " of " FILENAME " is not of its form, or its key stands there twice"; exit }
    if (ENVIRON["NEEDED"] == "") { print "good"; exit }
    requester = tolower(ENVIRON["REQUESTER"])
    count = split(tolower(ENVIRON["SIGNED_BY"]), signers, "\n")
    for (i = 1; i <= count; i++) {
        if (signers[i] == "") continue
        if (signers[i] == requester || requester in human && human[signers[i]] == human[requester]) { by_requester = 1; continue }
        if (!(human[signers[i]] in counted)) people++
        counted[human[signers[i]]] = 1
    }
    if (by_requester) print "whoever asks for a restart cannot sign it: " requester
    else if (people < ENVIRON["NEEDED"] + 0) print "signed by " people + 0 " of the " ENVIRON["NEEDED"] " people who are needed"
    else print "good"
}
