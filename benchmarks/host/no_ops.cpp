// Products of matrices and other kernels that compute nothing: what is left of a step is
// the host's work, whatever the processor's own kernels take.
#include <torch/extension.h>
#include <torch/library.h>

namespace {

using at::Scalar;
using at::Tensor;

Tensor addmm(const Tensor&, const Tensor& a, const Tensor& b, const Scalar&,
             const Scalar&) {
  return at::empty({a.size(0), b.size(1)}, a.options());
}

Tensor mm(const Tensor& a, const Tensor& b) {
  return at::empty({a.size(0), b.size(1)}, a.options());
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  return at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
}

Tensor baddbmm(const Tensor&, const Tensor& a, const Tensor& b, const Scalar&,
               const Scalar&) {
  return at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
}

Tensor unary(const Tensor& x) { return at::empty_like(x); }

Tensor gelu(const Tensor& x, c10::string_view) { return at::empty_like(x); }

Tensor gelu_backward(const Tensor& grad, const Tensor&, c10::string_view) {
  return at::empty_like(grad);
}

Tensor threshold_backward(const Tensor& grad, const Tensor&, const Scalar&) {
  return at::empty_like(grad);
}

Tensor softmax(const Tensor& x, int64_t, bool) { return at::empty_like(x); }

Tensor softmax_backward(const Tensor& grad, const Tensor&, int64_t, at::ScalarType) {
  return at::empty_like(grad);
}

Tensor& relu_(Tensor& x) { return x; }

std::tuple<Tensor, Tensor, Tensor> layer_norm(const Tensor& x, at::SymIntArrayRef shape,
                                              const std::optional<Tensor>&,
                                              const std::optional<Tensor>&, double) {
  auto sizes = x.sizes().vec();
  for (size_t i = sizes.size() - shape.size(); i < sizes.size(); ++i) sizes[i] = 1;
  return {at::empty_like(x), at::empty(sizes, x.options()), at::empty(sizes, x.options())};
}

std::tuple<Tensor, Tensor, Tensor> layer_norm_backward(
    const Tensor&, const Tensor& x, at::SymIntArrayRef, const Tensor&, const Tensor&,
    const std::optional<Tensor>& weight, const std::optional<Tensor>& bias,
    std::array<bool, 3>) {
  return {at::empty_like(x), at::empty_like(*weight), at::empty_like(*bias)};
}

// CUDA's autocast runs these in fp32, the CPU's does not.
Tensor autocast_layer_norm(const Tensor& x, at::SymIntArrayRef shape,
                           const std::optional<Tensor>& weight,
                           const std::optional<Tensor>& bias, double eps, bool) {
  c10::impl::ExcludeDispatchKeyGuard guard(c10::DispatchKey::AutocastCPU);
  return at::layer_norm_symint(x.to(at::kFloat), shape, weight, bias, eps);
}

Tensor autocast_softmax(const Tensor& x, int64_t dim, std::optional<at::ScalarType>) {
  c10::impl::ExcludeDispatchKeyGuard guard(c10::DispatchKey::AutocastCPU);
  return at::softmax(x.to(at::kFloat), dim);
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CPU, m) {
  m.impl("addmm", addmm);
  m.impl("mm", mm);
  m.impl("bmm", bmm);
  m.impl("baddbmm", baddbmm);
  m.impl("gelu", gelu);
  m.impl("gelu_backward", gelu_backward);
  m.impl("relu", unary);
  m.impl("relu_", relu_);
  m.impl("sigmoid", unary);
  m.impl("threshold_backward", threshold_backward);
  m.impl("_softmax", softmax);
  m.impl("_softmax_backward_data", softmax_backward);
  m.impl("native_layer_norm", layer_norm);
  m.impl("native_layer_norm_backward", layer_norm_backward);
}

TORCH_LIBRARY_IMPL(aten, AutocastCPU, m) {
  m.impl("layer_norm", autocast_layer_norm);
  m.impl("softmax.int", autocast_softmax);
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {}
