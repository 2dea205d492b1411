//! Named tensors in safetensors files.
