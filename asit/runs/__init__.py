"""What the commands do: pretrain, fine-tune, score, predict, embed."""
