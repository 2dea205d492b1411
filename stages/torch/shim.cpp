// The few calls of libtorch that the crate `tch` does not pass on, as C functions. None of them throws.

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adam.h>
#include <torch/version.h>

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <exception>
#include <limits>
#include <malloc.h>
#include <string>
#include <vector>

namespace {

void copy_text(char *text, size_t size, const std::string &words) { std::snprintf(text, size, "%s", words.c_str()); }

// Tensors as they lie in memory: those for which a parameter lies channels last with their axes in that order, since the
// optimiser copies what is not contiguous, there and back.
std::vector<at::Tensor> list(at::Tensor *const *tensors, at::Tensor *const *parameters, size_t count) {
  std::vector<at::Tensor> all;
  all.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    bool channels_last = parameters[i]->is_contiguous(at::MemoryFormat::ChannelsLast);
    all.push_back(channels_last ? tensors[i]->permute({0, 2, 3, 1}) : *tensors[i]);
  }
  return all;
}

} // namespace

extern "C" {

const char *pipe_libtorch_version() { return TORCH_VERSION; }

// The instruction set that libtorch's own kernels use here: `DEFAULT`, `AVX2`, `AVX512`.
void pipe_instructions(char *text, size_t size) { copy_text(text, size, at::get_cpu_capability()); }

// Whether the processor multiplies numbers with 8 bits of mantissa faster than those with 24.
// Processors with AMX have these instructions, too.
int pipe_has_bf16() { return __builtin_cpu_supports("avx512bf16") ? 1 : 0; }

// The same task gives the same bytes: deterministic algorithms, no search for the fastest one by timing, no reduced precision.
int pipe_settle(char *text, size_t size) {
  try {
    auto &context = at::globalContext();
    context.setDeterministicAlgorithms(true, false);
    // Filling every new tensor with NaN would only help to find reads of memory never written.
    context.setDeterministicFillUninitializedMemory(false);
    context.setDeterministicCuDNN(true);
    context.setBenchmarkCuDNN(false);
    context.setAllowTF32CuDNN(false);
    // Gradients of what a network has all but settled are numbers so small that processors take hundreds of cycles for
    // each, which made epochs three times as long; they count as zero. Holds for this thread and those it starts.
    context.setFlushDenormal(true);
    // Memory that was used once stays with the process. By default large pieces go back to the system after each use, and
    // getting them again, page by page, is a tenth of an epoch.
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
    return 0;
  } catch (const std::exception &error) {
    copy_text(text, size, error.what());
    return 1;
  }
}

// Loads CUDA's half of libtorch for all that follows. Looks beside the half that is loaded already, then where the loader looks.
int pipe_load_cuda(char *text, size_t size) {
  // cuBLAS is deterministic only with a fixed workspace, and reads this once.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  std::string beside;
  Dl_info info;
  if (dladdr(reinterpret_cast<void *>(&at::globalContext), &info) && info.dli_fname) {
    beside = info.dli_fname;
    auto slash = beside.rfind('/');
    beside = slash == std::string::npos ? "" : beside.substr(0, slash + 1);
  }
  if (!beside.empty() && dlopen((beside + "libtorch_cuda.so").c_str(), RTLD_NOW | RTLD_GLOBAL)) {
    return 0;
  }
  const char *first = dlerror();
  std::string words = first ? first : "";
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) {
    return 0;
  }
  copy_text(text, size, words);
  return 1;
}

// The name of a CUDA device, from the driver.
int pipe_cuda_name(int index, char *text, size_t size) {
  void *driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver) {
    return 1;
  }
  auto start = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  auto get = reinterpret_cast<int (*)(int *, int)>(dlsym(driver, "cuDeviceGet"));
  auto name = reinterpret_cast<int (*)(char *, int, int)>(dlsym(driver, "cuDeviceGetName"));
  int device = 0;
  bool known = start && get && name && start(0) == 0 && get(&device, index) == 0 &&
               name(text, static_cast<int>(size), device) == 0;
  return known ? 0 : 1;
}

// One step of Adam on all parameters in one pass over memory: libtorch's own fused kernel.
int pipe_adam(at::Tensor *const *parameters, at::Tensor *const *gradients, at::Tensor *const *means,
              at::Tensor *const *squares, const at::Tensor *step, size_t count, double rate, double beta1, double beta2,
              double epsilon, char *text, size_t size) {
  try {
    at::NoGradGuard guard;
    std::vector<at::Tensor> steps(count, *step);
    auto all = [&](at::Tensor *const *tensors) { return list(tensors, parameters, count); };
    at::_fused_adam_(all(parameters), all(gradients), all(means), all(squares), {}, steps, rate, beta1, beta2, 0.0, epsilon,
                     false, false);
    return 0;
  } catch (const std::exception &error) {
    copy_text(text, size, error.what());
    return 1;
  }
}

// Takes the gradients off tensors, so that the next ones are put there and not added to zeros.
void pipe_forget_gradients(at::Tensor *const *tensors, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    tensors[i]->mutable_grad().reset();
  }
}
}
