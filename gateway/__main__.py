"""`python -m gateway` is `causeway`."""

from gateway.cli.main import main

main()
