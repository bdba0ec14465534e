//! The program `scenescribe`.

mod cli;

use std::process::ExitCode;

use scenescribe::MemoryPool;

#[global_allocator]
static HEAP: MemoryPool = MemoryPool;

fn main() -> ExitCode {
    cli::run()
}
