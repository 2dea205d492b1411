//! Links `pipe` at a fixed address on Linux. As a position-independent executable it has 100,000 addresses to correct at
//! every start, which takes longer than a run that has nothing to do spends on 300 stages; nothing here needs a random
//! address.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-bin=pipe=-no-pie");
    }
}
