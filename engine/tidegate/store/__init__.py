"""A durable home for jobs: a folder with configurations, results, model snapshots and posted records."""
