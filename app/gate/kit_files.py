"""The same kit as a folder of files, for whoever keeps hosts by Ansible: the files, a list of modes, tasks, the script.

It writes nothing. The tasks end with the script's own ``--check``, so that what they left out cannot stay unseen.
"""

from collections.abc import Iterator

from app.gate.kit import ETC, HOME, LIB, SPOOL, SSHD, SUDOERS, File, Kit, contents, script

_PLACE = "files"


def tree(kit: Kit) -> tuple[File, ...]:
    """Return every file of the folder, its path relative to it. Raises Refused where no kit can be made."""
    files, ways_in = contents(kit)
    placed = (*files, *ways_in)
    return (
        File("kit.sh", "755", script(kit)),
        File("manifest", "644", _manifest(placed)),
        File("tasks.yml", "644", "\n".join(_tasks(kit, files, ways_in)) + "\n"),
        *(File(f"{_PLACE}{each.path}", each.mode, each.text) for each in placed),
    )


def folders(files: tuple[File, ...]) -> tuple[tuple[str, str], ...]:
    """Return the folders of root's that these files need, outer ones first, each with its mode."""
    held = {each.path.rpartition("/")[0] for each in files}
    wanted = (
        (LIB, "755"),
        (ETC, "755"),
        (f"{ETC}/approvers", "700"),
        (SPOOL.rpartition("/")[0], "700"),
        (SPOOL, "700"),
        (HOME, "755"),
        (f"{HOME}/.ssh", "755"),
    )
    return tuple((path, mode) for path, mode in wanted if path != f"{ETC}/approvers" or path in held)


def _manifest(files: tuple[File, ...]) -> str:
    lines = [f"root root {mode} {path}/" for path, mode in folders(files)]
    lines += [f"root root {each.mode} {each.path}" for each in files]
    return "".join(f"{line}\n" for line in lines)


def _tasks(kit: Kit, files: tuple[File, ...], ways_in: tuple[File, ...]) -> Iterator[str]:
    yield f"# Askfirst's kit for {kit.host}, in an order that leaves no gap where it is cut off. In a play with become:"
    yield "#   tasks: [{ansible.builtin.import_tasks: THIS-FOLDER/tasks.yml}]"
    yield "# The first turn from an open way in is kit.sh's: it keeps what was there, and can give it back."
    yield f"- name: This is {kit.host}, by a key that the registry pins"
    yield "  ansible.builtin.shell: cat /etc/ssh/ssh_host_*_key.pub"
    yield "  register: askfirst_keys"
    yield "  changed_when: false"
    yield "  check_mode: false"
    shown = " and ".join(f"'{key}' not in askfirst_keys.stdout" for key in kit.host_keys)
    yield f'  failed_when: "{shown}"'
    yield f"- name: The account {kit.account}, in no group but its own"
    yield "  ansible.builtin.user:"
    yield f"    {{name: {kit.account}, system: true, groups: [], append: false, home: {HOME}, create_home: false,"
    yield "     shell: /bin/sh, password: '*'}"
    yield "- name: Folders of root's"
    yield "  ansible.builtin.file:"
    yield "    {path: '{{ item.path }}', mode: '{{ item.mode }}', state: directory, owner: root, group: root}"
    yield "  loop:"
    yield from (f"    - {{path: {path}, mode: '0{mode}'}}" for path, mode in folders((*files, *ways_in)))
    for each in (*files, *ways_in):
        yield f"- name: {each.path}"
        yield "  ansible.builtin.copy:"
        yield f"    src: {_PLACE}{each.path}"
        yield f"    dest: {each.path}"
        yield f"    mode: '0{each.mode}'"
        yield "    owner: root"
        yield "    group: root"
        if each.path == SUDOERS:
            yield "    validate: /usr/sbin/visudo -cf %s"
        if each.path == SSHD:
            yield "    validate: /usr/sbin/sshd -t -f %s"
            yield "  register: askfirst_sshd"
            yield "- name: sshd reads its settings again"
            yield "  ansible.builtin.service:"
            yield "    name: \"{{ 'ssh' if ansible_facts['os_family'] == 'Debian' else 'sshd' }}\""
            yield "    state: reloaded"
            yield "  when: askfirst_sshd is changed"
    yield "- name: Nothing differs"
    yield "  ansible.builtin.script: kit.sh --check"
    yield "  changed_when: false"
