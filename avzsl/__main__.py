"""`python -m avzsl` is the `avzsl` command."""

from avzsl.cli import main

raise SystemExit(main())
