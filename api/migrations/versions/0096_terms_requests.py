"""Terms of payment that a buyer asks for, until staff decide; what is in force stays."""

import sqlalchemy as sa

from alembic import op

revision = "0096"
down_revision = "0095"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "terms_requests",
        sa.Column("organisation_id", sa.BigInteger(), nullable=False),
        sa.Column("terms_days", sa.Integer(), nullable=False),
        sa.Column("monthly", sa.Boolean(), nullable=False),
        sa.Column("requested_by", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("terms_days BETWEEN 0 AND 60", name=op.f("ck_terms_requests_terms")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_terms_requests_organisation_id_organisations")
        ),
        sa.ForeignKeyConstraint(["requested_by"], ["users.id"], name=op.f("fk_terms_requests_requested_by_users")),
        sa.PrimaryKeyConstraint("organisation_id", name=op.f("pk_terms_requests")),
    )


def downgrade() -> None:
    op.drop_table("terms_requests")
