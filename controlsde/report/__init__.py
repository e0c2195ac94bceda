"""What a person looks at: pictures of results and comparisons."""
