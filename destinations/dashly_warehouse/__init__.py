"""Where the tables of dashly-sync land: destinations, indexes, tombstones and queries.

It knows nothing of the API. Tables, keys and references come from the schema of the dlt pipeline.
"""
