"""`python -m forecaster`: the command of that name."""

from forecaster.cli import main

raise SystemExit(main())
