"""Tables: contracts, writers, the reject ledger and receipts."""
