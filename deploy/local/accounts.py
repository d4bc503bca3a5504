"""The account that a server runs as when this program is root, since Elasticsearch refuses root."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.local.errors import StackError

PREFERRED: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine and its group, by number."""

    name: str
    user: int
    group: int

    def identity(self) -> dict[str, Any]:
        """The arguments of `subprocess.Popen` that make a process this account's."""
        return {"user": self.user, "group": self.group, "extra_groups": []}

    def own(self, folder: Path) -> None:
        """Give the folder and what is in it to the account."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.user, self.group, follow_symlinks=False)

    def reach(self, folder: Path) -> None:
        """Raises StackError when the account may not enter the folder or one above it."""
        for part in (folder, *folder.parents):
            if not part.stat().st_mode & stat.S_IXOTH:
                raise StackError(
                    f"Elasticsearch cannot run as root, and the user {self.name} cannot enter "
                    f"{part}: set RECORDINGS_LOCAL_HOME and RECORDINGS_LOCAL_CACHE to others."
                )


def unprivileged() -> Account | None:
    """The account to use instead of root: `nobody` or the first other one; None: we are not root.

    Raises StackError when this machine has no account but root.
    """
    if os.geteuid() != 0:
        return None
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not others:
        raise StackError("Elasticsearch cannot run as root, and this machine has no other user.")
    entry = next((entry for entry in others if entry.pw_name == PREFERRED), others[0])
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
