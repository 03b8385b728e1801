"""`python -m dashly_sync`."""

from dashly_sync.cli import main

main()
