"""What backends share: plans as TensorIR, and the C text around it."""
