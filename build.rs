//! Sets `cfg(armv7)`: stable Rust tells no crate whether a 32-bit ARM target has NEON, only its name does.
fn main() {
    let target = std::env::var("TARGET").expect("cargo names the target");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(armv7)");
    if target.starts_with("armv7") || target.starts_with("thumbv7neon") {
        println!("cargo::rustc-cfg=armv7");
    }
}
