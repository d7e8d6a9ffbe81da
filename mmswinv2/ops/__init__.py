"""Tensor operators: they know tensors only, no modules and no configs."""
