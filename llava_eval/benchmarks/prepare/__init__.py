"""Getting a benchmark's media onto this machine: fetching, and unpacking without surprises."""
