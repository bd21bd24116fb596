"""Pages of api.domain.people."""
