"""A retailer's own files (CSV, Parquet, NDJSON) as messages, by a column mapping. `docs/ingest.md` shows how.

`mapping` says which column is what, `files` reads, `values` turns text into typed columns, `buckets` keeps a
customer's rows together on disk, `receipts` makes receipts and returns of them, `details` the catalogue and the
customers, `rejects` collects what is wrong, and `pipeline` runs it all.
"""
