# The gate of Askfirst: the only program that Askfirst runs on a host. It looks (probe), and it runs what one warrant allows
# (restart, burn, result). It installs nothing, and a probe changes nothing. POSIX sh, awk, procfs; no Python.
#
# It is assembled from this file, probe.sh, run.sh, the *.awk beside it and one fragment per process manager, and is sent to
# the standard input of `sh -s`. All is function definitions until the last line, so that half a program does nothing.
# What is asked follows in a quoted here-document: data, never evaluated.
#
# A fragment (``shell`` of a file under app/managers; NAME is the manager's, with '_' for '-') is:
#
#     af_watch supervisord            process names (comm) that tell that the manager may be there; a final * fits any ending
#     facts_NAME() { …; }             prints records; changes nothing, starts nothing
#
# There is no identity_NAME: whoever prints the facts of a claimed unit prints its identity lines in the same pass, so that
# probe and restart cannot differ. facts_NAME runs in a subshell of its own beside those of the other managers, with
# `set -f`, IFS as usual, stdin and stderr at /dev/null. It returns at once where AF_CLAIMS is empty and nothing it watches
# for runs. It finds:
#
#     AF_CLAIMS    the claims under this manager, a line each: SERVICE UNIT USER PATH CONFIG PORTS ('-' is none); exported
#     AF_UNITS     their units, a line each
#     AF_COMMS     a line `PID COMM` for each process that any fragment watches for (COMM escaped as in records); exported
#     AF_HOLDERS   a line `PORT PID` for each process seen to hold a listening TCP port; exported
#     AF_CGROUPS   the cgroup paths, one a line, of the holders, of processes under claimed paths, and of all their ancestors
#     AF_UID       who the gate is; 0 is root
#     AF_VERB      probe, or restart: then AF_CLAIMS holds one line, made from the warrant: USER is its argv-user, CONFIG the
#                  word after `-c` in its argv, PATH and PORTS are '-'; only identity lines are wanted
#     af_has NAME            whether a process of this comm was seen (any of them, if NAME ends in *)
#     af_blind WHAT WHY [SERVICE-OR-MANAGER]    says what could not be seen, why, and what would help
#     af_limit COMMAND…      runs it for at most 5 seconds; status 124 if that was not enough
#     af_as USER COMMAND…    the same as another user, with that user's HOME and XDG_RUNTIME_DIR; status 126 if not root
#     awk "$AF_AWK"'…'       with these functions (library.awk):
#         rec(KIND) put(KEY, VALUE) done()      one record, `rec("docker.container"); put("id", id); done()`;
#                                               KIND is NAME.something, KEY of [a-z-]; VALUE any bytes: put escapes it
#         enc(TEXT)                             one escaped word
#         blind(WHAT, WHY, ABOUT)               as af_blind
#         claims()                              reads AF_CLAIMS: number of claims; then claim_service[i], claim_unit[i],
#                                               claim_user[i], claim_path[i], claim_config[i], claim_ports[i] for i = 1…
#         identity(SERVICE, LINE)               one identity line of a claim; words of escaped bytes, blanks between them
#         identity_pid(SERVICE, PID)            its main process: the frame writes `process PID START USER CWD`
#         guard(SERVICE, PATH)                  root would read or run PATH for this service: the frame looks whether
#                                               anyone else can write it or a folder above it, and prints `writable`
#
# Every pid in a field `pid=` of a record gets a full `process` record from the frame, with all its ancestors. Identity lines
# hold nothing that moves by itself: no ages, no counters. They are printed for a unit that exists, whether it runs or not.
# The frame adds `boot …` before them and sorts them. Output that is no record is dropped and reported as blind.
