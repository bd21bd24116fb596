"""What is due by time or happened before: letters, reminders, dunning, purges, reports."""
