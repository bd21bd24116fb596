"""Parts are printed: models, plates, slices, printers, the plan, jobs and their runs."""
