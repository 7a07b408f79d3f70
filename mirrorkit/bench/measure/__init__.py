"""Speed and quality of each subject, in processes of their own."""
