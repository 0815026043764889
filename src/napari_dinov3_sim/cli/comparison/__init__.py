"""Models compared on annotated images: files in, a table out; `core/evaluation/` is the measure.

`benchmarks/bench_retrieval.py` uses it, too.
"""
