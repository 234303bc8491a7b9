"""Job back ends behind Kaldi's job command contract."""
