"""What is known and what is allowed: coverage, progress, request budget, page journal, locks. No dlt, no HTTP."""
