"""Who may connect to the embedded PostgreSQL, and as which of its two roles."""

import os
import pwd
from pathlib import Path

import psycopg
from psycopg import sql

# Owns everything and migrates; bootstrap superuser of the cluster, which it cannot cease to be.
OWNER = "etabli"
# What the services connect as: rows only, no tables of its own.
PROGRAM = "etabli_program"


def write_access(cluster_dir: Path, server_account: str | None) -> None:
    """Let in the account that runs us, root, and the server's own, as the kernel tells them; nobody else."""
    # Written at each start: clusters of older releases let in every account that reached the socket.
    ours = {pwd.getpwuid(os.geteuid()).pw_name, "root"} | ({server_account} if server_account else set())
    (cluster_dir / "pg_hba.conf").write_text("local all all peer map=etabli\n")
    lines = [f'etabli "{name}" {role}\n' for name in sorted(ours) for role in (OWNER, PROGRAM)]
    (cluster_dir / "pg_ident.conf").write_text("".join(lines))


def create_program_role(connection: psycopg.Connection) -> None:
    """A cluster of an older release has none yet. What it may do in a database is granted with the migrations."""
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [PROGRAM]).fetchone() is None:
        create = "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
        connection.execute(sql.SQL(create).format(sql.Identifier(PROGRAM)))
