"""Pages of api.domain.messages."""
