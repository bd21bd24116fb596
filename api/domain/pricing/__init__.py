"""What things cost: legal texts by date, prices, materials, tariffs. Pure but for materials and tariffs."""
