"""Pages of api.domain.printing."""
