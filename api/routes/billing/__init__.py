"""JSON routes of api.domain.billing."""
