"""What every gateway promises, whoever wrote it: one suite, run against each real gateway.

`deploy/gateways/CONTRACT.md` says the same in words, and how to run this against another gateway.
"""
