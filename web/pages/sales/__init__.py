"""Pages of api.domain.sales."""
