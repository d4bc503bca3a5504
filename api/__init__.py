"""Reading: GET /v1/recordings in, one search of Elasticsearch, an answer out."""
