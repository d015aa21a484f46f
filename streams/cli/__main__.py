"""`python -m streams.cli`: the `twins` command where the package is not installed, as in the images."""

from streams.cli.main import main

main()
