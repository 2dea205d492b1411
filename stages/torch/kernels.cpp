// The network's operations on the processor, with their gradients: convolution, batch normalisation, and the decoder's
// step (enlarge, join, convolve). Tensors lie channels last, [samples, height, width, channels] in memory.
//
// What they save over libtorch's own operations:
//
// - The decoder convolves at the low resolution. Enlarging acts on each channel alone and a convolution's tap mixes the channels
//   of one pixel, so the two commute: nine products of matrices with the small image, then one pass that enlarges, shifts and
//   adds their results. That is a quarter of the multiplications, and neither the enlarged nor the joined image is ever there.
// - The gradient of a convolution's weights is a product of matrices over tiles of pixels that fit the processor's cache.
// - Bias, ReLU, residual sum and the sums of a gradient are done in the pass that has the numbers at hand anyway.
//
// Every sum has an order that depends on sizes and the number of threads alone: the same input gives the same bytes.
// Does not depend on names of layers, on files, or on a GPU.

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mkldnn_convolution.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <type_traits>
#include <vector>

// A loop is compiled for several instruction sets and the fitting one is taken when the program starts. The file is compiled
// without contraction of products and sums, so that all of them give the same numbers.
#define CLONED __attribute__((target_clones("avx512f", "avx2", "default")))
#define INLINED inline __attribute__((always_inline))

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto LAST = at::MemoryFormat::ChannelsLast;

// Pixels whose numbers are handled at a time: with 64 channels they fill a quarter of a megabyte.
constexpr int64_t TILE = 1024;

int64_t divided_up(int64_t count, int64_t by) { return (count + by - 1) / by; }

Tensor last(const Tensor &x) { return x.contiguous(LAST); }

// The matrix [pixels, channels] that a tensor is in memory.
Tensor matrix(const Tensor &x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }

// The matrix [outputs, window * inputs] that a weight is in memory.
Tensor matrix_of_weight(const Tensor &weight) { return last(weight).permute({0, 2, 3, 1}).reshape({weight.size(0), -1}); }

// ---- Loops over channels ----

template <int TERMS, typename T> INLINED void fixed_sum(T *out, const T *const *from, const T *factors, int64_t count) {
  for (int64_t c = 0; c < count; ++c) {
    T sum = factors[0] * from[0][c];
    for (int k = 1; k < TERMS; ++k) {
      sum += factors[k] * from[k][c];
    }
    out[c] = sum;
  }
}

// Sums of a few terms, whose number a compiler knows: an enlarged line is read by four or five.
template <typename T> INLINED void scaled_sum(T *out, const T *const *from, const T *factors, int64_t terms, int64_t count) {
  switch (terms) {
  case 0:
    std::fill(out, out + count, T(0));
    return;
  case 1:
    return fixed_sum<1>(out, from, factors, count);
  case 2:
    return fixed_sum<2>(out, from, factors, count);
  case 3:
    return fixed_sum<3>(out, from, factors, count);
  case 4:
    return fixed_sum<4>(out, from, factors, count);
  case 5:
    return fixed_sum<5>(out, from, factors, count);
  default:
    fixed_sum<6>(out, from, factors, count);
  }
  for (int64_t k = 6; k < terms; ++k) {
    for (int64_t c = 0; c < count; ++c) {
      out[c] += factors[k] * from[k][c];
    }
  }
}

// Six terms at once, which a compiler keeps in registers.
template <typename T> INLINED void six(T *out, const T *const *from, const T *f, int64_t count) {
  const T *a = from[0], *b = from[1], *c = from[2], *d = from[3], *e = from[4], *g = from[5];
  for (int64_t i = 0; i < count; ++i) {
    out[i] = ((f[0] * a[i] + f[1] * b[i]) + (f[2] * c[i] + f[3] * d[i])) + (f[4] * e[i] + f[5] * g[i]);
  }
}

// The same, added to what is there, negative numbers made zero.
template <typename T> INLINED void six_added_relu(T *out, const T *const *from, const T *f, int64_t count) {
  const T *a = from[0], *b = from[1], *c = from[2], *d = from[3], *e = from[4], *g = from[5];
  for (int64_t i = 0; i < count; ++i) {
    T sum = out[i] + (((f[0] * a[i] + f[1] * b[i]) + (f[2] * c[i] + f[3] * d[i])) + (f[4] * e[i] + f[5] * g[i]));
    out[i] = sum > T(0) ? sum : (sum == sum ? T(0) : sum);
  }
}

// Gradient through a ReLU whose result was `y`, and its sums over pixels.
template <typename T> INLINED void masked(T *out, const T *g, const T *y, T *sums, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p, out += channels, g += channels, y += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      T value = y[c] > T(0) ? g[c] : T(0);
      out[c] = value;
      sums[c] += value;
    }
  }
}

template <typename T> INLINED void summed(const T *g, T *sums, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p, g += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      sums[c] += g[c];
    }
  }
}

template <typename T> INLINED void squares(const T *x, const T *mean, T *sums, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p, x += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      T off = x[c] - mean[c];
      sums[c] += off * off;
    }
  }
}

// `x * scale + offset`, plus `other` if there is one, then perhaps a ReLU.
template <typename T>
INLINED void affine(T *out, const T *x, const T *other, const T *scale, const T *offset, bool relu, int64_t pixels,
                    int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, out += channels) {
    if (other) {
      for (int64_t c = 0; c < channels; ++c) {
        T value = x[c] * scale[c] + offset[c] + other[c];
        out[c] = !relu || value > T(0) ? value : (value == value ? T(0) : value);
      }
      other += channels;
    } else {
      for (int64_t c = 0; c < channels; ++c) {
        T value = x[c] * scale[c] + offset[c];
        out[c] = !relu || value > T(0) ? value : (value == value ? T(0) : value);
      }
    }
  }
}

// Sums over pixels of a gradient and of its product with what a normalisation was given, less its mean.
template <typename T>
INLINED void products(const T *g, const T *x, const T *mean, T *sums, T *dots, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p, g += channels, x += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      sums[c] += g[c];
      dots[c] += g[c] * (x[c] - mean[c]);
    }
  }
}

// `a * g + b * (x - mean) + c`, in place of `g`.
template <typename T>
INLINED void normal_gradient(T *out, const T *g, const T *x, const T *mean, const T *a, const T *b, const T *d, int64_t pixels,
                             int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p, g += channels, x += channels, out += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      out[c] = a[c] * g[c] + (b[c] * (x[c] - mean[c]) + d[c]);
    }
  }
}

#define FOR_EACH_TYPE(LOOPS) LOOPS(float) LOOPS(double)
#define LOOPS(T)                                                                                                                 \
  CLONED void run_scaled_sum(T *o, const T *const *f, const T *w, int64_t k, int64_t n) { scaled_sum(o, f, w, k, n); }          \
  CLONED void run_six(T *o, const T *const *f, const T *w, int64_t n) { six(o, f, w, n); }                                      \
  CLONED void run_six_added_relu(T *o, const T *const *f, const T *w, int64_t n) { six_added_relu(o, f, w, n); }                \
  CLONED void run_masked(T *o, const T *g, const T *y, T *s, int64_t p, int64_t c) { masked(o, g, y, s, p, c); }                \
  CLONED void run_summed(const T *g, T *s, int64_t p, int64_t c) { summed(g, s, p, c); }                                        \
  CLONED void run_squares(const T *x, const T *m, T *s, int64_t p, int64_t c) { squares(x, m, s, p, c); }                       \
  CLONED void run_affine(T *o, const T *x, const T *r, const T *a, const T *b, bool relu, int64_t p, int64_t c) {               \
    affine(o, x, r, a, b, relu, p, c);                                                                                          \
  }                                                                                                                             \
  CLONED void run_products(const T *g, const T *x, const T *m, T *s, T *d, int64_t p, int64_t c) {                              \
    products(g, x, m, s, d, p, c);                                                                                              \
  }                                                                                                                             \
  CLONED void run_normal_gradient(T *o, const T *g, const T *x, const T *m, const T *a, const T *b, const T *d, int64_t p,      \
                                  int64_t c) {                                                                                  \
    normal_gradient(o, g, x, m, a, b, d, p, c);                                                                                 \
  }
FOR_EACH_TYPE(LOOPS)
#undef LOOPS

// Calls `body` with a null pointer of the tensor's number type.
template <typename Body> void by_type(const Tensor &x, Body body) {
  switch (x.scalar_type()) {
  case at::kFloat:
    return body(static_cast<float *>(nullptr));
  case at::kDouble:
    return body(static_cast<double *>(nullptr));
  default:
    TORCH_CHECK(false, "no such kernel for ", x.scalar_type());
  }
}

// Sums over pixels [channels]: `add(first, count, sums)` for each tile, tiles added in order.
template <typename T, typename Add> void sum_tiles(int64_t pixels, int64_t width, T *out, Add add) {
  int64_t tiles = divided_up(pixels, TILE);
  std::vector<T> partial(tiles * width, T(0));
  at::parallel_for(0, tiles, 1, [&](int64_t from, int64_t to) {
    for (int64_t tile = from; tile < to; ++tile) {
      int64_t first = tile * TILE;
      add(first, std::min(TILE, pixels - first), &partial[tile * width]);
    }
  });
  std::vector<double> sums(width, 0.0);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t c = 0; c < width; ++c) {
      sums[c] += static_cast<double>(partial[tile * width + c]);
    }
  }
  for (int64_t c = 0; c < width; ++c) {
    out[c] = static_cast<T>(sums[c]);
  }
}

// ---- Convolution ----

struct Window {
  int64_t height, width, stride, padding;
};

bool is_pointwise(const Window &w) { return w.height == 1 && w.width == 1 && w.stride == 1 && w.padding == 0; }

bool has_onednn(const Tensor &x) { return x.scalar_type() == at::kFloat; }

// Numbers as products are computed with: as they are, or rounded to 8 bits of mantissa. Sums and all else keep 24.
Tensor rounded(const Tensor &x, bool half) { return half ? x.to(at::kBFloat16) : x; }

// oneDNN by name: `at::convolution` takes a slower way with a single small image, whatever its channels.
Tensor convolved(const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias, const Window &w) {
  std::vector<int64_t> stride(2, w.stride), padding(2, w.padding), one(2, 1);
  if (has_onednn(x)) {
    return last(at::mkldnn_convolution(x, weight, bias, padding, stride, one, 1));
  }
  return last(at::convolution(x, weight, bias, stride, padding, one, false, {0, 0}, 1));
}

// A convolution whose result has the numbers of `bias` or, without one, of 32 bits or more.
Tensor convolved(const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias, const Window &w, bool half) {
  if (!half) {
    return convolved(x, weight, bias, w);
  }
  std::optional<Tensor> offset = bias ? std::optional(rounded(*bias, half)) : std::nullopt;
  return convolved(x, rounded(weight, half), offset, w).to(at::kFloat);
}

// libtorch has oneDNN compute gradients except of one sample with at most this many numbers, for which it takes a slower way.
constexpr int64_t SMALL = 20480;

// The product of gradient and weights [pixels, window * channels], each number added to the pixel that its window read.
Tensor gradient_of_small_input(const Tensor &d, const Tensor &x, const Tensor &weight, const Window &w) {
  int64_t channels = x.size(1), rows = x.size(2), columns = x.size(3);
  Tensor windows = at::mm(matrix(d), matrix_of_weight(weight)), out = at::zeros_like(x, x.options(), LAST);
  by_type(x, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *from = windows.const_data_ptr<T>();
    for (int64_t p = 0; p < windows.size(0); ++p) {
      int64_t column = p % d.size(3), row = p / d.size(3) % d.size(2), sample = p / (d.size(3) * d.size(2));
      for (int64_t tap = 0; tap < w.height * w.width; ++tap, from += channels) {
        int64_t i = row * w.stride + tap / w.width - w.padding, j = column * w.stride + tap % w.width - w.padding;
        if (i >= 0 && i < rows && j >= 0 && j < columns) {
          run_summed(from, out.data_ptr<T>() + ((sample * rows + i) * columns + j) * channels, 1, channels);
        }
      }
    }
  });
  return out;
}

Tensor gradient_of_input(const Tensor &d, const Tensor &x, const Tensor &weight, const Window &w) {
  if (is_pointwise(w)) {
    Tensor out = at::empty_like(x, x.options(), LAST);
    Tensor flat = matrix(out);
    at::mm_out(flat, matrix(d), matrix_of_weight(weight));
    return out;
  }
  if (has_onednn(x) && x.size(0) == 1 && x.numel() <= SMALL) {
    return gradient_of_small_input(d, x, weight, w);
  }
  std::vector<int64_t> stride(2, w.stride), padding(2, w.padding), one(2, 1);
  std::array<bool, 3> wanted{true, false, false};
  return last(std::get<0>(
      at::convolution_backward(d, x, weight, at::OptionalIntArrayRef(), stride, padding, one, false, {0, 0}, 1, wanted)));
}

// Copies columns `from..to` of the matrix [pixels, window * channels] of some pixels; outside of the image are zeros.
template <typename T>
void gather(T *out, const T *x, const Window &w, int64_t channels, int64_t rows, int64_t columns, int64_t out_rows,
            int64_t out_columns, int64_t first, int64_t count, int64_t from, int64_t to) {
  for (int64_t p = first; p < first + count; ++p) {
    int64_t column = p % out_columns, row = p / out_columns % out_rows, sample = p / (out_columns * out_rows);
    for (int64_t at = from; at < to;) {
      int64_t tap = at / channels, channel = at % channels, across = tap % w.width;
      int64_t i = row * w.stride + tap / w.width - w.padding, j = column * w.stride + across - w.padding;
      // The taps of a row of the window are one piece of memory where all of them are inside of the image.
      bool inside = i >= 0 && i < rows && j >= 0 && column * w.stride + w.width - w.padding <= columns;
      int64_t length = std::min((inside ? w.width - across : 1) * channels - channel, to - at);
      if (inside || (i >= 0 && i < rows && j >= 0 && j < columns)) {
        std::memcpy(out, x + ((sample * rows + i) * columns + j) * channels + channel, length * sizeof(T));
      } else {
        std::memset(out, 0, length * sizeof(T));
      }
      out += length;
      at += length;
    }
  }
}

// [outputs, inputs, height, width] in channels-last memory: the product of gradient and windows, over all pixels. Each thread
// has columns of its own.
Tensor gradient_of_weight(const Tensor &d, const Tensor &x, const Window &w) {
  int64_t outputs = d.size(1), channels = x.size(1), pixels = d.size(0) * d.size(2) * d.size(3);
  Tensor out = at::empty({outputs, channels, w.height, w.width}, x.options(), LAST);
  Tensor product = out.permute({0, 2, 3, 1}).reshape({outputs, -1});
  Tensor gradient = matrix(d);
  if (is_pointwise(w)) {
    at::mm_out(product, gradient.t(), matrix(x));
    return out;
  }
  if (x.scalar_type() == at::kBFloat16) {
    // Tile by tile the sums would be rounded again and again.
    std::vector<int64_t> stride(2, w.stride), padding(2, w.padding), one(2, 1);
    return last(std::get<1>(at::convolution_backward(d, x, out, at::OptionalIntArrayRef(), stride, padding, one, false, {0, 0}, 1,
                                                     {false, true, false})));
  }
  int64_t width = product.size(1), grain = std::max<int64_t>(divided_up(width, at::get_num_threads()), 16);
  by_type(x, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *numbers = x.const_data_ptr<T>();
    at::parallel_for(0, width, grain, [&](int64_t from, int64_t to) {
      at::NoGradGuard guard;
      Tensor windows = at::empty({std::min(TILE, pixels), to - from}, x.options());
      Tensor part = product.narrow(1, from, to - from);
      for (int64_t first = 0; first < pixels; first += TILE) {
        int64_t count = std::min(TILE, pixels - first);
        gather(windows.data_ptr<T>(), numbers, w, channels, x.size(2), x.size(3), d.size(2), d.size(3), first, count, from, to);
        part.addmm_(gradient.narrow(0, first, count).t(), windows.narrow(0, 0, count), first == 0 ? 0 : 1);
      }
    });
  });
  return out;
}

Tensor sums_over_pixels(const Tensor &d) {
  Tensor out = at::empty({d.size(1)}, d.options());
  by_type(d, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *g = d.const_data_ptr<T>();
    int64_t channels = d.size(1);
    sum_tiles(d.numel() / channels, channels, out.data_ptr<T>(), [&](int64_t first, int64_t count, T *sums) {
      run_summed(g + first * channels, sums, count, channels);
    });
  });
  return out;
}

// The gradient through the ReLU that gave `y`, and its sums over pixels.
std::pair<Tensor, Tensor> through_relu(const Tensor &grad, const Tensor &y) {
  Tensor d = at::empty_like(y, y.options(), LAST), sums = at::empty({y.size(1)}, y.options());
  by_type(y, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *g = grad.const_data_ptr<T>(), *result = y.const_data_ptr<T>();
    T *out = d.data_ptr<T>();
    int64_t channels = y.size(1);
    sum_tiles(y.numel() / channels, channels, sums.data_ptr<T>(), [&](int64_t first, int64_t count, T *part) {
      int64_t at = first * channels;
      run_masked(out + at, g + at, result + at, part, count, channels);
    });
  });
  return {d, sums};
}

struct Convolve : torch::autograd::Function<Convolve> {
  static Tensor forward(AutogradContext *context, const Tensor &image, const Tensor &weight, const std::optional<Tensor> &bias,
                        int64_t stride, int64_t padding, bool relu, bool half) {
    Tensor x = rounded(last(image), half);
    Window w{weight.size(2), weight.size(3), stride, padding};
    Tensor y = convolved(x, weight, bias, w, half);
    if (relu) {
      y.clamp_min_(0);
    }
    context->save_for_backward({x, weight, relu ? y : Tensor()});
    context->saved_data["window"] = std::vector<int64_t>{stride, padding};
    context->saved_data["bias"] = bias.has_value();
    return y;
  }

  static variable_list backward(AutogradContext *context, variable_list grads) {
    auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &y = saved[2];
    auto window = context->saved_data["window"].toIntVector();
    Window w{weight.size(2), weight.size(3), window[0], window[1]};
    Tensor d = last(grads[0]), sums;
    if (y.defined()) {
      std::tie(d, sums) = through_relu(d, y);
    } else if (context->saved_data["bias"].toBool()) {
      sums = sums_over_pixels(d);
    }
    bool half = x.scalar_type() == at::kBFloat16;
    auto kind = d.scalar_type();
    d = rounded(d, half);
    Tensor to_x, to_bias = context->saved_data["bias"].toBool() ? sums : Tensor();
    if (context->needs_input_grad(0)) {
      to_x = gradient_of_input(d, x, rounded(weight, half), w).to(kind);
    }
    return {to_x, gradient_of_weight(d, x, w).to(kind), to_bias, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

// ---- Batch normalisation ----

// Mean and sum of squared deviations of each channel: by tile around its own mean, tiles joined by Chan's formula in order.
template <typename T> void moments(const T *x, int64_t pixels, int64_t channels, T *mean, double *variance) {
  int64_t tiles = divided_up(pixels, TILE);
  std::vector<T> means(tiles * channels, T(0)), deviations(tiles * channels, T(0));
  at::parallel_for(0, tiles, 1, [&](int64_t from, int64_t to) {
    for (int64_t tile = from; tile < to; ++tile) {
      int64_t first = tile * TILE, count = std::min(TILE, pixels - first);
      T *own = &means[tile * channels];
      run_summed(x + first * channels, own, count, channels);
      for (int64_t c = 0; c < channels; ++c) {
        own[c] /= static_cast<T>(count);
      }
      run_squares(x + first * channels, own, &deviations[tile * channels], count, channels);
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    double centre = 0, squares = 0, seen = 0;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      double count = static_cast<double>(std::min(TILE, pixels - tile * TILE)), all = seen + count;
      double off = static_cast<double>(means[tile * channels + c]) - centre;
      centre += off * count / all;
      squares += static_cast<double>(deviations[tile * channels + c]) + off * off * seen * count / all;
      seen = all;
    }
    mean[c] = static_cast<T>(centre);
    variance[c] = squares / seen;
  }
}

// `scale * x + offset (+ other)`, perhaps with a ReLU, channel by channel.
void apply_affine(Tensor &out, const Tensor &x, const Tensor &other, const Tensor &scale, const Tensor &offset, bool relu) {
  by_type(x, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *from = x.const_data_ptr<T>(), *added = other.defined() ? other.const_data_ptr<T>() : nullptr;
    const T *a = scale.const_data_ptr<T>(), *b = offset.const_data_ptr<T>();
    T *to = out.data_ptr<T>();
    int64_t channels = x.size(1);
    at::parallel_for(0, x.numel() / channels, TILE, [&](int64_t first, int64_t end) {
      int64_t at = first * channels;
      run_affine(to + at, from + at, added ? added + at : nullptr, a, b, relu, end - first, channels);
    });
  });
}

struct Normalise : torch::autograd::Function<Normalise> {
  static Tensor forward(AutogradContext *context, const Tensor &image, const Tensor &scale, const Tensor &offset,
                        const std::optional<Tensor> &running_mean, const std::optional<Tensor> &running_variance,
                        const std::optional<Tensor> &residual, double momentum,
                        double epsilon, bool relu) {
    Tensor x = last(image), other = residual ? last(*residual) : Tensor();
    int64_t channels = x.size(1), pixels = x.numel() / channels;
    Tensor mean = at::empty_like(scale), inverse = at::empty_like(scale), factor = at::empty_like(scale);
    Tensor shift = at::empty_like(scale), y = at::empty_like(x, x.options(), LAST);
    by_type(x, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      std::vector<double> variance(channels);
      T *m = mean.data_ptr<T>(), *s = inverse.data_ptr<T>(), *a = factor.data_ptr<T>(), *b = shift.data_ptr<T>();
      moments(x.const_data_ptr<T>(), pixels, channels, m, variance.data());
      const T *weight = scale.const_data_ptr<T>(), *bias = offset.const_data_ptr<T>();
      T *kept_mean = running_mean ? running_mean->data_ptr<T>() : nullptr;
      T *kept_variance = running_mean ? running_variance->data_ptr<T>() : nullptr;
      double unbiased = static_cast<double>(pixels) / static_cast<double>(std::max<int64_t>(pixels - 1, 1));
      for (int64_t c = 0; c < channels; ++c) {
        s[c] = static_cast<T>(1.0 / std::sqrt(variance[c] + epsilon));
        a[c] = weight[c] * s[c];
        b[c] = bias[c] - m[c] * a[c];
        if (kept_mean) {
          kept_mean[c] = static_cast<T>(momentum * m[c] + (1.0 - momentum) * kept_mean[c]);
          kept_variance[c] = static_cast<T>(momentum * variance[c] * unbiased + (1.0 - momentum) * kept_variance[c]);
        }
      }
    });
    apply_affine(y, x, other, factor, shift, relu);
    context->save_for_backward({x, scale, mean, inverse, relu ? y : Tensor()});
    context->saved_data["residual"] = residual.has_value();
    return y;
  }

  static variable_list backward(AutogradContext *context, variable_list grads) {
    auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &scale = saved[1], &mean = saved[2], &inverse = saved[3], &y = saved[4];
    Tensor d = last(grads[0]);
    int64_t channels = x.size(1), pixels = x.numel() / channels;
    if (y.defined()) {
      d = through_relu(d, y).first;
    }
    Tensor to_scale = at::empty_like(scale), to_offset = at::empty_like(scale), to_x = at::empty_like(x, x.options(), LAST);
    by_type(x, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const T *g = d.const_data_ptr<T>(), *numbers = x.const_data_ptr<T>(), *m = mean.const_data_ptr<T>();
      const T *s = inverse.const_data_ptr<T>(), *weight = scale.const_data_ptr<T>();
      std::vector<T> both(2 * channels), a(channels), b(channels), e(channels);
      sum_tiles(pixels, 2 * channels, both.data(), [&](int64_t first, int64_t count, T *sums) {
        int64_t at = first * channels;
        run_products(g + at, numbers + at, m, sums, sums + channels, count, channels);
      });
      T *scales = to_scale.data_ptr<T>(), *offsets = to_offset.data_ptr<T>(), count = static_cast<T>(pixels);
      for (int64_t c = 0; c < channels; ++c) {
        T sum = both[c], dot = both[channels + c];
        offsets[c] = sum;
        scales[c] = dot * s[c];
        a[c] = weight[c] * s[c];
        b[c] = -a[c] * s[c] * s[c] * dot / count;
        e[c] = -a[c] * sum / count;
      }
      T *out = to_x.data_ptr<T>();
      at::parallel_for(0, pixels, TILE, [&](int64_t first, int64_t end) {
        int64_t at = first * channels;
        run_normal_gradient(out + at, g + at, numbers + at, m, a.data(), b.data(), e.data(), end - first, channels);
      });
    });
    Tensor to_residual = context->saved_data["residual"].toBool() ? d : Tensor();
    return {to_x, to_scale, to_offset, Tensor(), Tensor(), to_residual, Tensor(), Tensor(), Tensor()};
  }
};

// ---- The decoder's step ----

// Where a line of `to` pixels reads a line of `from` pixels that is enlarged to it, first and last staying in place.
struct Line {
  std::vector<int64_t> low, high;
  std::vector<double> share; // of `high`

  Line(int64_t from, int64_t to) : low(to), high(to), share(to) {
    double step = to > 1 ? static_cast<double>(from - 1) / static_cast<double>(to - 1) : 0.0;
    for (int64_t i = 0; i < to; ++i) {
      double place = step * static_cast<double>(i);
      low[i] = std::min(static_cast<int64_t>(place), from - 1);
      high[i] = std::min(low[i] + 1, from - 1);
      share[i] = place - static_cast<double>(low[i]);
    }
  }
};

// Of the pixels of a line and the three taps around each, those that read a pixel of the short line, and with what weight.
struct Readers {
  struct Reader {
    int64_t pixel;
    double weight;
  };
  static constexpr size_t MOST = 16;
  std::vector<std::vector<Reader>> of; // by short pixel * 3 + tap

  Readers(const Line &line, int64_t from, int64_t to) : of(from * 3) {
    for (int64_t pixel = 0; pixel < to; ++pixel) {
      for (int64_t tap = 0; tap < 3; ++tap) {
        int64_t at = pixel + tap - 1;
        if (at < 0 || at >= to) {
          continue;
        }
        of[line.low[at] * 3 + tap].push_back({pixel, 1.0 - line.share[at]});
        if (line.share[at] > 0) {
          of[line.high[at] * 3 + tap].push_back({pixel, line.share[at]});
        }
      }
    }
    for (const auto &readers : of) {
      TORCH_CHECK(readers.size() <= MOST, "a line of ", from, " pixels is enlarged to ", to, ", more than about four times");
    }
  }
};

// The two places and weights of a pixel's neighbour in a line; a neighbour outside has no weight.
template <typename T> void neighbour(const Line &line, int64_t at, int64_t &low, int64_t &high, T &first, T &second) {
  if (at < 0 || at >= static_cast<int64_t>(line.low.size())) {
    low = high = 0;
    first = second = T(0);
    return;
  }
  low = line.low[at];
  high = line.high[at];
  first = static_cast<T>(1.0 - line.share[at]);
  second = static_cast<T>(line.share[at]);
}

// Adds one image's taps [short rows, short columns, 3, 3, channels], enlarged and each shifted to its place, to an image
// [rows, columns, channels]; then a ReLU.
template <typename T>
void add_enlarged(T *out, const T *taps, const Line &rows, const Line &columns, int64_t short_columns, int64_t channels) {
  int64_t height = rows.low.size(), width = columns.low.size(), three = 3 * channels;
  at::parallel_for(0, height, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> line(short_columns * three);
    for (int64_t i = begin; i < end; ++i) {
      int64_t places[6];
      T weights[6];
      const T *from[6];
      for (int64_t k = 0; k < 3; ++k) {
        neighbour(rows, i + k - 1, places[2 * k], places[2 * k + 1], weights[2 * k], weights[2 * k + 1]);
      }
      for (int64_t s = 0; s < short_columns; ++s) {
        for (int64_t k = 0; k < 6; ++k) {
          from[k] = taps + ((places[k] * short_columns + s) * 3 + k / 2) * three;
        }
        run_six(&line[s * three], from, weights, three);
      }
      for (int64_t j = 0; j < width; ++j) {
        for (int64_t k = 0; k < 3; ++k) {
          neighbour(columns, j + k - 1, places[2 * k], places[2 * k + 1], weights[2 * k], weights[2 * k + 1]);
          from[2 * k] = &line[places[2 * k] * three + k * channels];
          from[2 * k + 1] = &line[places[2 * k + 1] * three + k * channels];
        }
        run_six_added_relu(out + (i * width + j) * channels, from, weights, channels);
      }
    }
  });
}

// The gradient of taps from that of the image they were added to. `lines` has room for [rows, short columns, 3, channels].
template <typename T>
void gathered(T *taps, const T *d, T *lines, const Readers &rows, const Readers &columns, int64_t height, int64_t width,
              int64_t short_rows, int64_t short_columns, int64_t channels) {
  int64_t three = 3 * channels;
  auto sum = [](T *out, const std::vector<Readers::Reader> &readers, const T *base, int64_t stride, int64_t count) {
    const T *from[Readers::MOST];
    T weights[Readers::MOST];
    int64_t terms = 0;
    for (const auto &reader : readers) {
      from[terms] = base + reader.pixel * stride;
      weights[terms++] = static_cast<T>(reader.weight);
    }
    run_scaled_sum(out, from, weights, terms, count);
  };
  at::parallel_for(0, height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t s = 0; s < short_columns; ++s) {
        for (int64_t k = 0; k < 3; ++k) {
          sum(lines + (i * short_columns + s) * three + k * channels, columns.of[s * 3 + k], d + i * width * channels, channels,
              channels);
        }
      }
    }
  });
  at::parallel_for(0, short_rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t s = 0; s < short_columns; ++s) {
        for (int64_t k = 0; k < 3; ++k) {
          sum(taps + ((r * short_columns + s) * 3 + k) * three, rows.of[r * 3 + k], lines + s * three, short_columns * three,
              three);
        }
      }
    }
  });
}

// Adds the product of two matrices to `out`, or puts it there. Of numbers with 8 bits of mantissa each product is rounded once and
// sums are not.
void add_product(Tensor &out, const Tensor &a, const Tensor &b, bool first) {
  if (a.scalar_type() == out.scalar_type()) {
    out.addmm_(a, b, first ? 0 : 1);
  } else if (first) {
    out.copy_(at::mm(a, b));
  } else {
    out.add_(at::mm(a, b));
  }
}

// ReLU of the convolution (3 x 3, padding 1) of `small`, enlarged to the size of `skip`, joined with `skip`.
struct Join : torch::autograd::Function<Join> {
  // Where one tap's matrix [outputs, channels of the small image] lies in a weight that lies channels last.
  static Tensor of_tap(const Tensor &weight, int64_t tap, int64_t channels) {
    return weight.select(2, tap / 3).select(2, tap % 3).narrow(1, 0, channels);
  }

  // One tap's part of the matrix [pixels of the small image, 9 * outputs].
  static Tensor part_of(const Tensor &product, int64_t tap) {
    int64_t outputs = product.size(1) / 9;
    return product.narrow(1, tap * outputs, outputs);
  }

  static Tensor forward(AutogradContext *context, const Tensor &small_image, const Tensor &skip_image, const Tensor &weight,
                        const Tensor &bias, bool half) {
    Tensor small = rounded(last(small_image), half), skip = rounded(last(skip_image), half);
    int64_t channels = small.size(1), outputs = weight.size(0);
    Tensor taps = rounded(last(weight), half), rest = rounded(last(weight.narrow(1, channels, skip.size(1))), half);
    Tensor y = convolved(skip, rest, bias, {3, 3, 1, 1}, half);
    int64_t short_pixels = small.size(2) * small.size(3), pixels = y.size(2) * y.size(3);
    Line rows(small.size(2), y.size(2)), columns(small.size(3), y.size(3));
    Tensor computed = at::empty({short_pixels, 9 * outputs}, small.options());
    Tensor flat = matrix(small);
    for (int64_t sample = 0; sample < y.size(0); ++sample) {
      for (int64_t tap = 0; tap < 9; ++tap) {
        Tensor part = part_of(computed, tap);
        at::mm_out(part, flat.narrow(0, sample * short_pixels, short_pixels), of_tap(taps, tap, channels).t());
      }
      Tensor product = computed.to(y.scalar_type());
      by_type(y, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        add_enlarged(y.data_ptr<T>() + sample * pixels * outputs, product.const_data_ptr<T>(), rows, columns, small.size(3),
                     outputs);
      });
    }
    context->save_for_backward({small, skip, taps, rest, y});
    return y;
  }

  static variable_list backward(AutogradContext *context, variable_list grads) {
    auto saved = context->get_saved_variables();
    const Tensor &small = saved[0], &skip = saved[1], &weight = saved[2], &rest = saved[3], &y = saved[4];
    int64_t channels = small.size(1), outputs = weight.size(0);
    auto [d, to_bias] = through_relu(last(grads[0]), y);
    bool half = small.scalar_type() == at::kBFloat16;
    auto kind = d.scalar_type();
    Tensor to_weight = at::empty(weight.sizes(), y.options(), LAST), to_skip;
    {
      Window w{3, 3, 1, 1};
      Tensor here = rounded(d, half);
      to_skip = gradient_of_input(here, skip, rest, w).to(kind);
      to_weight.narrow(1, channels, skip.size(1)).copy_(gradient_of_weight(here, skip, w));
    }

    int64_t short_pixels = small.size(2) * small.size(3), pixels = y.size(2) * y.size(3);
    Readers rows(Line(small.size(2), y.size(2)), small.size(2), y.size(2));
    Readers columns(Line(small.size(3), y.size(3)), small.size(3), y.size(3));
    Tensor product = at::empty({short_pixels, 9 * outputs}, y.options());
    Tensor lines = at::empty({y.size(2) * small.size(3) * 3 * outputs}, y.options());
    Tensor to_small = at::empty_like(small, y.options(), LAST);
    Tensor flat = matrix(small), to_flat = matrix(to_small);
    for (int64_t sample = 0; sample < y.size(0); ++sample) {
      by_type(y, [&](auto *type) {
        using T = std::remove_pointer_t<decltype(type)>;
        gathered(product.data_ptr<T>(), d.const_data_ptr<T>() + sample * pixels * outputs, lines.data_ptr<T>(), rows, columns,
                 y.size(2), y.size(3), small.size(2), small.size(3), outputs);
      });
      Tensor part = to_flat.narrow(0, sample * short_pixels, short_pixels), computed = rounded(product, half);
      Tensor read = flat.narrow(0, sample * short_pixels, short_pixels);
      for (int64_t tap = 0; tap < 9; ++tap) {
        Tensor from = part_of(computed, tap), to_tap = of_tap(to_weight, tap, channels);
        add_product(part, from, of_tap(weight, tap, channels), tap == 0);
        add_product(to_tap, from.t(), read, sample == 0);
      }
    }
    return {to_small, to_skip, to_weight, to_bias, Tensor()};
  }
};

std::optional<Tensor> given(const Tensor *tensor) { return tensor ? std::optional(*tensor) : std::nullopt; }

template <typename Body> Tensor *result_of(char *text, size_t size, Body body) {
  try {
    return new Tensor(body());
  } catch (const std::exception &error) {
    std::snprintf(text, size, "%s", error.what());
    return nullptr;
  }
}

} // namespace

extern "C" {

// Convolution with a bias or none, with a ReLU or without, products of numbers with 8 bits of mantissa or not; the result
// belongs to the caller.
Tensor *pipe_convolve(const Tensor *x, const Tensor *weight, const Tensor *bias, int64_t stride, int64_t padding, int relu,
                      int half, char *text, size_t size) {
  return result_of(text, size, [&] {
    return Convolve::apply(*x, *weight, given(bias), stride, padding, relu != 0, half != 0);
  });
}

// Batch normalisation with the batch's statistics, plus a residual or none, with a ReLU or without. Running statistics are
// updated if they are given.
Tensor *pipe_normalise(const Tensor *x, const Tensor *scale, const Tensor *offset, const Tensor *mean, const Tensor *variance,
                       const Tensor *residual, double momentum, double epsilon, int relu, char *text, size_t size) {
  return result_of(text, size, [&] {
    return Normalise::apply(*x, *scale, *offset, given(mean), given(variance), given(residual), momentum, epsilon, relu != 0);
  });
}

// `x * scale + offset` by channel, plus a residual or none, with a ReLU or without. Has no gradient.
Tensor *pipe_affine(const Tensor *x, const Tensor *scale, const Tensor *offset, const Tensor *residual, int relu, char *text,
                    size_t size) {
  return result_of(text, size, [&] {
    at::NoGradGuard guard;
    Tensor from = last(*x), other = residual ? last(*residual) : Tensor(), y = at::empty_like(from, from.options(), LAST);
    apply_affine(y, from, other, scale->contiguous(), offset->contiguous(), relu != 0);
    return y;
  });
}

// The decoder's step: enlarge, join, convolve, ReLU.
Tensor *pipe_join(const Tensor *small, const Tensor *skip, const Tensor *weight, const Tensor *bias, int half, char *text,
                  size_t size) {
  return result_of(text, size, [&] { return Join::apply(*small, *skip, *weight, *bias, half != 0); });
}
}
