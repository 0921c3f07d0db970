"""The benchmark: runs the function under functions-framework, with backends and load generator in separate processes.

`python -m bench` measures a mix of messages, and each subcommand is another study (`python -m bench --help`).
docs/performance.md explains the results.
"""
