//! The kernels against each other, against plain sums and against ONNX Runtime.

mod onnx_runtime_agrees;
mod reference_is_exact;
mod sets_agree;
mod threads_agree;
