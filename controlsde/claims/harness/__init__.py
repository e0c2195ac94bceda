"""What claims are made of: experiments, fits, tables and pages; no claim is in here."""
