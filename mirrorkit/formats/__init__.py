"""What lies on disk: model folders, bundles, golden texts, engines."""
