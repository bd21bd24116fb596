"""JSON routes of api.domain.places."""
