"""JSON routes of api.domain.booking."""
