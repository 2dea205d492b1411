//! Compiles `shim.cpp` and `kernels.cpp` against libtorch and lets the binary find libtorch again without `LD_LIBRARY_PATH`.
//!
//! With `PIPE_TORCH_RPATH=none` the binary holds no path of this machine, because it is for others: `pipe` finds their
//! libtorch (`cli/libtorch.rs`). The wheel and the Docker image are built so.

use std::path::PathBuf;
use std::process::exit;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=PIPE_TORCH_RPATH");
    println!("cargo:rerun-if-changed=shim.cpp");
    println!("cargo:rerun-if-changed=kernels.cpp");
    let Some(libtorch) = std::env::var_os("LIBTORCH").map(PathBuf::from) else {
        fail(
            "pipe-torch needs libtorch, and LIBTORCH is not set: build it with `scripts/libtorch cargo build -p pipe-torch`",
        );
    };
    let lib = libtorch.join("lib");
    if !lib.join("libtorch_cpu.so").is_file() {
        fail(&format!(
            "LIBTORCH is `{}`, but `lib/libtorch_cpu.so` is not there: use `scripts/libtorch`",
            libtorch.display()
        ));
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(libtorch.join("include"))
        .include(libtorch.join("include/torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        // The kernels' loops are what a training spends its time on, in whatever profile the rest is built. Without contraction of
        // products and sums they give the same numbers with every instruction set.
        .opt_level(3)
        .flag("-fopenmp")
        .flag("-ffp-contract=off")
        .file("shim.cpp")
        .file("kernels.cpp")
        .compile("pipe_torch_shim");
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=dylib=torch_cpu");
    println!("cargo:rustc-link-lib=dylib=c10");
    println!("cargo:rustc-link-lib=dylib=dl");
    // The one that libtorch itself uses, so that there is one set of threads.
    println!("cargo:rustc-link-lib=dylib:+verbatim=libgomp.so.1");
    match std::env::var("PIPE_TORCH_RPATH").as_deref() {
        Ok("none") => {}
        Ok(other) => fail(&format!("PIPE_TORCH_RPATH is `{other}`, expected `none` or nothing")),
        Err(_) => {
            // RPATH and not RUNPATH: it also holds for what libtorch itself needs (libgomp, libcudart, libcupti).
            println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
        }
    }
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1)
}
