"""Writing: change events in, documents in Elasticsearch out."""
