"""Pages of api.domain.booking."""
