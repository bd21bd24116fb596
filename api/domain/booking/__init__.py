"""People reserve resources: rules, bookings, kits, gatherings, feeds, reports of doors."""
