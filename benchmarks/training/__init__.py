"""What training costs and brings, beside the official procedure."""
