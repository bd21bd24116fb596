"""Pages of api.domain.pricing."""
