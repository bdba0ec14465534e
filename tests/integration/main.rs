//! The program as its users meet it: arguments and files in, lines and exit codes out.

mod annotate;
mod annotate_metadata;
mod boards;
mod caption;
mod compare;
mod ffmpeg;
mod hostile;
mod memory;
mod models;
mod panics;
mod parity;
mod pictures;
mod serial;
mod streams;
mod support;
mod watch;
