"""The benchmark: the function under functions-framework, with backends and load generator in processes of their own.

`python -m bench` measures the mix, `python -m bench growth` how the numbers grow, `python -m bench limits` what happens
beyond Klaviyo's limits. docs/performance.md explains the numbers.
"""
