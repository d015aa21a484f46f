"""The console: an API on this machine and a page with live numbers.

`app` is the FastAPI application, `state` what it shows, `exposition` the metrics of all processes in one, `process`
runs it.
"""
