"""JSON routes of api.domain.sales."""
