//! Foreign code that may panic on hostile bytes is called through here.

use std::cell::Cell;
use std::error::Error as StdError;
use std::panic::{self, AssertUnwindSafe, catch_unwind};

pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics that become an [`Error`](crate::Error) from being printed too. For programs, once at their start.
pub fn quiet_guarded_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if IS_GUARDED.get() {
            log::debug!("caught: {panic}");
        } else {
            print(panic);
        }
    }));
}

/// Calls `call`; a panic inside becomes a cause. What `call` has written half must not be read after an error.
pub(crate) fn guarded<T, E: Into<Cause>>(call: impl FnOnce() -> Result<T, E>) -> Result<T, Cause> {
    let was_guarded = IS_GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(was_guarded);
    match outcome {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            // What follows the first line is a backtrace, if the environment asks for them.
            Err(text.and_then(|text| text.lines().next()).unwrap_or("unknown failure").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_cause_with_its_words() {
        let cause = guarded(|| -> Result<(), Cause> { panic!("stride {}", 0) }).unwrap_err();
        assert_eq!(cause.to_string(), "stride 0");
        let cause = guarded(|| -> Result<(), Cause> { panic!("axis {}\n\nStack backtrace:\n", 7) }).unwrap_err();
        assert_eq!(cause.to_string(), "axis 7");
    }
}
