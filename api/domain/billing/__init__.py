"""Papers and money: organisations, sellers, invoices, ledger, payments, the e-invoicing platform."""
