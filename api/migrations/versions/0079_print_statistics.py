"""One row for each site and printer kind says how long its prints really take, instead of all prints of the past."""

import sqlalchemy as sa
from alembic import op

revision = "0079"
down_revision = "0078"
branch_labels = None
depends_on = None

# As `update_statistics` counts them, over the latest hundred of each printer.
FILL = """
INSERT INTO print_statistics (site_id, kind_id, count, ratio_p50, ratio_p90, updated_at)
SELECT r.site_id, p.kind_id, count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio),
       percentile_cont(0.9) WITHIN GROUP (ORDER BY ratio), now()
FROM printers p JOIN resources r ON r.id = p.id
JOIN LATERAL (
    SELECT runs.print_s / nullif(slices.seconds, 0) AS ratio FROM runs JOIN slices ON slices.id = runs.slice_id
    WHERE runs.printer_id = p.id AND runs.status = 'done' ORDER BY runs.claimed_at DESC LIMIT 100
) latest ON ratio BETWEEN 0.5 AND 4
GROUP BY r.site_id, p.kind_id
"""


def upgrade() -> None:
    op.create_table(
        "print_statistics",
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("kind_id", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("ratio_p50", sa.Float(), nullable=False),
        sa.Column("ratio_p90", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name="fk_print_statistics_site_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["kind_id"], ["printer_kinds.id"], name="fk_print_statistics_kind_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", "kind_id", name="pk_print_statistics"),
    )
    op.execute(FILL)


def downgrade() -> None:
    op.drop_table("print_statistics")
