"""Where a printer's server stands by number, so that one OctoPrint under two names is one printer."""

import sqlalchemy as sa

from alembic import op

revision = "0087"
down_revision = "0086"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("printers", sa.Column("server", sa.String(300), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("printers", "server")
