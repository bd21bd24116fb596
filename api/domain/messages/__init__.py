"""What people are told and what goes by time: letters, reminders, dunning, reports, purges."""
