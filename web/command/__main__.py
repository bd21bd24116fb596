"""`python -m web.command` is the `etabli` command, also where no script is installed."""

from web.command import main

main()
