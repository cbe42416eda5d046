"""What was done: receipts and parts, rejects, manifests, the sum, the ledger."""
