"""`python -m scaler`: the command of that name."""

from scaler.cli import main

raise SystemExit(main())
