"""What every noun stands on: tables, errors, the record of changes, idempotency."""
