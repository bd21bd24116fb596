"""JSON routes of api.domain.printing."""
