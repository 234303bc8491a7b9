"""Job back ends with the command line of Kaldi's job scripts."""
