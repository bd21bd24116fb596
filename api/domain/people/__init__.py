"""Who acts: accounts, organisations as buyers, and what each person may do at each place."""
