"""Jobs, and the CronJobs that make them."""
