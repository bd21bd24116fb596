"""Pages of api.domain.billing."""
