"""Log-mel filter bank and corpus statistics."""
