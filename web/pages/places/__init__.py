"""Pages of api.domain.places."""
