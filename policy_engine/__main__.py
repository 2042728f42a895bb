"""Lets `python -m policy_engine` be the same as the `policy-engine` command."""

from policy_engine.cli import main

if __name__ == "__main__":
    main()
