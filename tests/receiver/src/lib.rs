//! The far end of scenescribe's serial line, for microcontrollers: the module `scenescribe::sink::wire` without the rest.
#![no_std]
#![forbid(unsafe_code)]

#[path = "../../../src/sink/wire/mod.rs"]
pub mod wire;
